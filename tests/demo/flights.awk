# Reads flights-20k.csv, writes the commands that count each flight at its two airports, as pipe
# mode takes them, the flights in turn to so many files, one for each client:
#
#   awk -v clients=4 -v prefix=replay_ -f flights.awk flights-20k.csv     replay_0 ... replay_3
#
# Columns by the names in the first line. No field of this file is quoted. Plain POSIX awk.

BEGIN { FS = "," }

{ sub(/\r$/, "") }

NR == 1 {
    for (i = 1; i <= NF; i++)
        column[$i] = i
    next
}

{
    out = prefix (flight++ % clients)
    from = "airport:" $column["origin"]
    delay = $column["delay"] + 0
    print "hincr " from " departures 1" > out
    if (delay > 0)
        print "hincr " from " delay_minutes " delay > out
    print "hincr airport:" $column["destination"] " arrivals 1" > out
}
