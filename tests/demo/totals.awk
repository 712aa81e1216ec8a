# What the counters must be, from the two files alone: "CODE departures delay_minutes arrivals",
# one line for each airport.
#
#   awk -f totals.awk airports.csv flights-20k.csv | sort
#
# On purpose it shares nothing with the programs that write the commands: fields by their place,
# and of an airport only its code, which no quote or comma can precede. Plain POSIX awk.

BEGIN { FS = "," }

{ sub(/\r$/, "") }

FNR == 1 { next }

FILENAME ~ /airports/ {
    airports[$1]
    next
}

{
    departures[$4]++
    arrivals[$5]++
    if ($2 > 0)
        late[$4] += $2
    airports[$4]
    airports[$5]
}

END {
    for (code in airports)
        print code, departures[code] + 0, late[code] + 0, arrivals[code] + 0
}
