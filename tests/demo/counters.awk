# Reads two files: the commands "hgetall airport:CODE" and the replies to them in JSON, one a line.
# Writes "CODE departures delay_minutes arrivals" for each, a counter that is not there as 0, and
# "CODE error REPLY" for an airport that is not there or whose reply is an error.
#
# A name in quotes before a colon can only be a field's: inside a string its quote has a backslash.

function counter(name,    text)
{
    if (!match($0, "\"" name "\" *: *\"?-?[0-9]+"))
        return 0
    text = substr($0, RSTART, RLENGTH)
    sub(/^.*[^-0-9]/, "", text)
    return text
}

NR == FNR {
    code[NR] = $2
    sub(/^airport:/, "", code[NR])
    asked = NR
    next
}

/"ok" *: *true/ && !/"value" *: *null/ {
    print code[FNR], counter("departures"), counter("delay_minutes"), counter("arrivals")
    next
}

{ print code[FNR], "error", $0 }

END {
    for (i = FNR + 1; i <= asked; i++)
        print code[i], "error no reply"
}
