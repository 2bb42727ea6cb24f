# Turn the numbered migrations of one kind of file, given in order, into a table of db/schema.h.
# kind=registry: schema/NNN-NAME.sql; another kind: schema/KIND-NNN-NAME.sql. NNN counts from 001 without a gap.
function fail(words) {
	print "embed.awk: " words > "/dev/stderr"
	failed = 1
	exit 1
}
function end_file() {
	if (version)
		print "\t},"
}
BEGIN {
	prefix = kind == "registry" ? "" : kind "-"
	print "/* Made by schema/embed.awk from schema/" prefix "NNN-NAME.sql: edit those. */"
	print "#include \"db/schema.h\"\n"
	print "static const struct migration " kind "_migrations[] = {"
}
FNR == 1 {
	end_file()
	name = FILENAME
	sub(/^.*\//, "", name)
	sub(/\.sql$/, "", name)
	version++
	if (name !~ "^" prefix "[0-9][0-9][0-9]-" || substr(name, length(prefix) + 1, 3) + 0 != version)
		fail(FILENAME ": expected number " version " of " kind)
	print "\t{"
	print "\t\t.name = \"" name "\","
	print "\t\t.sql ="
}
{
	gsub(/\\/, "\\\\")
	gsub(/"/, "\\\"")
	gsub(/\t/, "\\t")
	print "\t\t\t\"" $0 "\\n\""
}
END {
	if (failed)
		exit 1
	end_file()
	print "};\nconst struct schema " kind "_schema = { " kind "_migrations, " version + 0 " };\n"
}
