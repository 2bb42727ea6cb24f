# Turn the numbered migrations, given in order, into the C table of db/schema.h.
# A file is schema/NNN-NAME.sql; NNN counts from 001 without a gap.
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
	print "/* Made by schema/embed.awk from schema/NNN-NAME.sql: edit those. */"
	print "#include \"db/schema.h\"\n"
	print "const struct migration migrations[] = {"
}
FNR == 1 {
	end_file()
	name = FILENAME
	sub(/^.*\//, "", name)
	sub(/\.sql$/, "", name)
	version++
	if (name !~ /^[0-9][0-9][0-9]-/ || substr(name, 1, 3) + 0 != version)
		fail(FILENAME ": expected number " version)
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
	print "};\nconst int migration_count = " version + 0 ";"
}
