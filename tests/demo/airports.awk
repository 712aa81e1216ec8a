# Reads airports.csv, writes one command for each airport, as pipe mode takes them:
#
#   hset airport:ORD name "Chicago O'Hare International" city Chicago ...
#
# The first line of the file names the fields; the first field is the airport's code. Fields are
# CSV as RFC 4180 has it: in quotes they may hold commas, line ends and, doubled, quotes.
# Plain POSIX awk. Ends with 1 when a record has another number of fields than the first line.

# Splits the record text into field[1..]; the number of fields, 0 when a quote is still open.
function split_csv(text,    count, rest, piece)
{
    count = 0
    rest = text
    while (1) {
        piece = ""
        if (substr(rest, 1, 1) == "\"") {
            rest = substr(rest, 2)
            while (match(rest, /"/)) {
                piece = piece substr(rest, 1, RSTART - 1)
                rest = substr(rest, RSTART + 1)
                if (substr(rest, 1, 1) != "\"")
                    break
                piece = piece "\""
                rest = substr(rest, 2)
                if (!match(rest, /"/))
                    return 0
            }
            if (RSTART == 0)
                return 0
        }
        match(rest, /^[^,]*/)
        piece = piece substr(rest, 1, RLENGTH)
        field[++count] = piece
        if (RLENGTH == length(rest))
            return count
        rest = substr(rest, RLENGTH + 2)
    }
}

# A word of a command line in quotes.
function quoted(text,    out, i, c)
{
    out = ""
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "\"" || c == "\\")
            c = "\\" c
        else if (c == "\n")
            c = "\\n"
        out = out c
    }
    return "\"" out "\""
}

{
    sub(/\r$/, "")
    record = is_open ? record "\n" $0 : $0
    count = split_csv(record)
    is_open = count == 0
    if (is_open)
        next
    if (columns == 0) {
        columns = count
        for (i = 1; i <= count; i++)
            name[i] = field[i]
        next
    }
    if (count != columns) {
        printf "%s:%d: %d fields instead of %d\n", FILENAME, NR, count, columns > "/dev/stderr"
        exit 1
    }
    line = "hset " quoted("airport:" field[1])
    for (i = 2; i <= count; i++)
        line = line " " name[i] " " quoted(field[i])
    print line
}

END {
    if (is_open) {
        printf "%s: a quote is never closed\n", FILENAME > "/dev/stderr"
        exit 1
    }
}
