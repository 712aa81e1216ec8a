# Makes a man page or a completion of what "PROGRAM --help" says, which is made from the tables of
# options and commands:
#
#   PROGRAM --help | awk -v form=man -v template=man/PROGRAM.8.in -f man/help.awk
#   PROGRAM --help | awk -v form=bash -v program=PROGRAM [-v words="..."] -f man/help.awk
#   PROGRAM --help | awk -v form=zsh  -v program=PROGRAM [-v words="..."] -f man/help.awk
#
# words: further first words. A template is a man page with @OPTIONS@, @COMMANDS@ and @EXAMPLES@.

BEGIN { options = commands = examples = 0 }

# What a line is, by the heading it stands under.
/^Commands:$/ || /^By the tool itself:$/ { part = "commands"; next }
/^Options:$/ { part = "options"; next }
/^Examples:$/ { part = "examples"; next }
/^[^ ]/ && part == "examples" { part = "" }
/^$/ { next }

part == "commands" && /^  [a-z]/ {
    line = substr($0, 3)
    at = match(line, /  +[^ ].*$/)
    usage[commands] = at ? substr(line, 1, at - 1) : line
    text[commands] = at ? substr(line, at) : ""
    # "get      KEY      the text": the first gap is within the usage.
    if (match(text[commands], /^ +[A-Z\[][^a-z]*  +/) && RLENGTH < length(text[commands])) {
        usage[commands] = usage[commands] " " substr(text[commands], 1, RLENGTH)
        text[commands] = substr(text[commands], RLENGTH + 1)
    }
    gsub(/  +/, " ", usage[commands])
    sub(/ +$/, "", usage[commands])
    sub(/^ +/, "", text[commands])
    command[commands] = $1
    commands++
}

part == "options" && /^  --/ {
    line = substr($0, 3)
    at = match(line, /  +[^ ].*$/)
    head = at ? substr(line, 1, at - 1) : line
    help[options] = substr(line, at)
    sub(/^ +/, "", help[options])
    split(head, piece, " ")
    option[options] = piece[1]
    value[options] = piece[2]
    # "(always|interval|never, default interval)"
    choices[options] = ""
    if (match(help[options], /\([a-z]+(\|[a-z]+)+/)) {
        choices[options] = substr(help[options], RSTART + 1, RLENGTH - 1)
        gsub(/\|/, " ", choices[options])
    }
    options++
}

part == "examples" && /^  / { example[examples++] = substr($0, 3) }

function roff(s) {
    gsub(/\\/, "\\e", s)
    gsub(/-/, "\\-", s)
    if (s ~ /^[.']/)
        s = "\\&" s
    return s
}

function put_man(    line, i) {
    while ((getline line < template) > 0) {
        if (line == "@OPTIONS@") {
            for (i = 0; i < options; i++)
                printf ".TP\n\\fB%s\\fR%s\n%s\n", roff(option[i]),
                    value[i] == "" ? "" : " \\fI" roff(value[i]) "\\fR", roff(help[i])
        } else if (line == "@COMMANDS@") {
            for (i = 0; i < commands; i++)
                printf ".TP\n\\fB%s\\fR\n%s\n", roff(usage[i]), roff(text[i])
        } else if (line == "@EXAMPLES@") {
            print ".nf"
            for (i = 0; i < examples; i++)
                print roff(example[i])
            print ".fi"
        } else {
            print line
        }
    }
}

function first_words(    all, i) {
    all = words
    for (i = 0; i < commands; i++)
        all = all (all == "" ? "" : " ") command[i]
    return all
}

function put_bash(    i, all, taking, name) {
    name = program
    gsub(/-/, "_", name)
    printf "# Completion of %s for bash; made from its --help.\n_%s() {\n", program, name
    print "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}"
    print "    case $prev in"
    for (i = 0; i < options; i++) {
        all = all (i == 0 ? "" : " ") option[i]
        if (choices[i] != "")
            printf "    %s) mapfile -t COMPREPLY < <(compgen -W \"%s\" -- \"$cur\") ;;\n", option[i],
                choices[i]
        else if (value[i] == "FILE" || value[i] == "DIR")
            printf "    %s) mapfile -t COMPREPLY < <(compgen -%s -- \"$cur\") ;;\n", option[i],
                value[i] == "DIR" ? "d" : "f"
        else if (value[i] != "")
            taking = taking (taking == "" ? "" : " | ") option[i]
    }
    if (taking != "")
        printf "    %s) COMPREPLY=() ;;\n", taking
    print "    *)"
    printf "        if [[ $cur == -* ]]; then\n"
    printf "            mapfile -t COMPREPLY < <(compgen -W \"%s\" -- \"$cur\")\n", all
    print "        else"
    printf "            mapfile -t COMPREPLY < <(compgen -W \"%s\" -- \"$cur\")\n", first_words()
    print "        fi"
    print "        ;;"
    print "    esac"
    printf "}\ncomplete -o default -F _%s %s\n", name, program
}

function quoted(s) {
    gsub(/'/, "", s)
    gsub(/[\[\]:]/, "\\\\&", s)
    return s
}

function put_zsh(    i, after) {
    printf "#compdef %s\n# Made from its --help.\n_arguments -S \\\n", program
    for (i = 0; i < options; i++) {
        after = ""
        if (choices[i] != "")
            after = ":" value[i] ":(" choices[i] ")"
        else if (value[i] == "FILE")
            after = ":FILE:_files"
        else if (value[i] == "DIR")
            after = ":DIR:_files -/"
        else if (value[i] != "")
            after = ":" value[i] ": "
        printf "    '%s[%s]%s' \\\n", option[i], quoted(help[i]), after
    }
    printf "    '1:word:(%s)' \\\n    '*:word:_files'\n", first_words()
}

END {
    if (options == 0)
        exit 1
    if (form == "man")
        put_man()
    else if (form == "bash")
        put_bash()
    else
        put_zsh()
}
