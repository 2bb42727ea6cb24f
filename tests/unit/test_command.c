/*
 * Tests of command.h: command lines against the tables, and the man page
 * poolbridgectl(1) against them in both directions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/ctl/command.h"

#define ARGS_MAX 12

struct line {
	const char *argv[ARGS_MAX]; /* after the program's name */
	const char *expected;       /* "domain add|corp.test|phase=legacy json", or NULL: refused */
	const char *why;            /* words of the refusal */
};

static const struct line lines[] = {
	/* what is understood */
	{ { "domain", "list" }, "domain list||", NULL },
	{ { "domain", "add", "corp.test" }, "domain add|corp.test|", NULL },
	{ { "domain", "add", "corp.test", "--phase", "legacy" }, "domain add|corp.test|phase=legacy ", NULL },
	{ { "domain", "add", "--phase=legacy", "corp.test" }, "domain add|corp.test|phase=legacy ", NULL },
	{ { "--json", "domain", "add", "corp.test" }, "domain add|corp.test|json ", NULL },
	{ { "domain", "--json", "add", "corp.test" }, "domain add|corp.test|json ", NULL },
	{ { "domain", "add", "corp.test", "--json" }, "domain add|corp.test|json ", NULL },
	{ { "-c", "x.conf", "status" }, "status||config=x.conf ", NULL },
	{ { "--config=x.conf", "status" }, "status||config=x.conf ", NULL },
	{ { "status", "--config", "x.conf", "--json" }, "status||config=x.conf json ", NULL },
	{ { "user", "mark", "legacy", "a@b", "c@d" }, "user mark|legacy a@b c@d|", NULL },
	{ { "user", "mark", "moving", "--from", "-" }, "user mark|moving|from=- ", NULL },
	{ { "user", "mark", "moving", "--from=a=b" }, "user mark|moving|from=a=b ", NULL },
	{ { "user", "mark", "legacy", "--", "--from" }, "user mark|legacy --from|", NULL },
	{ { "user", "import", "-" }, "user import|-|", NULL },
	{ { "user", "export" }, "user export||", NULL },
	{ { "user", "export", "-" }, "user export|-|", NULL },
	{ { "partner", "add", "p", "--alias", "a", "--alias=b" }, "partner add|p|alias=a alias=b ", NULL },
	{ { "partner", "set", "p", "--description", "" }, "partner set|p|description= ", NULL },
	{ { "partner", "set", "p", "--proxy=" }, "partner set|p|proxy= ", NULL },
	{ { "partner", "set", "p", "--description", "--json" }, "partner set|p|description=--json ", NULL },
	{ { "domain", "add", "legacy|coexist" }, "domain add|legacy|coexist|", NULL },
	{ { "--help" }, "||help ", NULL },
	{ { "domain", "-h" }, "domain||help ", NULL },
	{ { "domain", "add", "--help" }, "domain add||help ", NULL },
	{ { "-V" }, "||version ", NULL },
	{ { "spool", "show", "7", "--body" }, "spool show|7|body= ", NULL },
	{ { "spool", "bounce", "7", "8" }, "spool bounce|7 8|", NULL },
	{ { "spool", "retry", "--hop", "quarantine" }, "spool retry||hop=quarantine ", NULL },
	{ { "spool", "show", "7", "--body=yes" }, NULL, "the option --body takes no value" },
	{ { "spool", "show", "7", "--body", "--body" }, NULL, "given twice" },
	{ { "spool", "list", "--hop", "quarantin" }, NULL, "did you mean 'quarantine'?" },
	/* what is not */
	{ { NULL }, NULL, "a noun and a verb are missing" },
	{ { "--json" }, NULL, "a noun and a verb are missing" },
	{ { "" }, NULL, "unknown noun ''" },
	{ { "domian", "list" }, NULL, "unknown noun 'domian': did you mean 'domain'?" },
	{ { "zebra" }, NULL, "unknown noun 'zebra' (" },
	{ { "domain" }, NULL, "a verb is missing after 'domain'" },
	{ { "domain", "lst" }, NULL, "unknown verb 'lst' of 'domain': did you mean 'list'?" },
	{ { "domain", "mark" }, NULL, "unknown verb 'mark' of 'domain' (" },
	{ { "domain", "list", "corp.test" }, NULL, "unexpected argument 'corp.test'" },
	{ { "domain", "add" }, NULL, "DOMAIN is missing" },
	{ { "domain", "add", "a", "b" }, NULL, "unexpected argument 'b'" },
	{ { "route", "explain", "a@b" }, NULL, "TO is missing" },
	{ { "user", "mark" }, NULL, "legacy|moving|migrated is missing" },
	{ { "user", "mark", "migratd", "a@b" }, NULL, "did you mean 'migrated'?" },
	{ { "user", "mark", "a@b", "migrated" }, NULL, "'a@b' is not one of legacy|moving|migrated" },
	{ { "user", "access", "maybe", "a@b" }, NULL, "'maybe' is not one of on|off" },
	{ { "status", "now" }, NULL, "unexpected argument 'now'" },
	{ { "domain", "add", "a", "--phse", "legacy" },
	  NULL,
	  "unknown option --phse of 'domain add': did you mean '--phase'?" },
	{ { "domain", "add", "a", "--gateway", "legacy" }, NULL, "unknown option --gateway of 'domain add'" },
	{ { "domain", "list", "--phase", "legacy" }, NULL, "unknown option --phase of 'domain list'" },
	{ { "--phase", "legacy", "domain", "add", "a" }, NULL, "must stand after the noun and the verb" },
	{ { "domain", "add", "a", "--phase" }, NULL, "needs a value: legacy|coexist|migrated" },
	{ { "domain", "add", "a", "--phase", "Legacy" },
	  NULL,
	  "the value of --phase 'Legacy' is not one of legacy|coexist|migrated: did you mean 'legacy'?" },
	{ { "domain", "add", "a", "--phase=" }, NULL, "the value of --phase '' is not one of" },
	{ { "domain", "add", "a", "--phase", "--json" }, NULL, "the value of --phase '--json'" },
	{ { "domain", "add", "a", "--phase=legacy", "--phase=legacy" }, NULL, "--phase is given twice" },
	{ { "domain", "add", "a", "--json=yes" }, NULL, "--json takes no value" },
	{ { "domain", "add", "a", "-x" }, NULL, "unknown option -x" },
	{ { "domain", "list", "-c" }, NULL, "-c needs a value" },
	{ { "domain", "list", "--config" }, NULL, "--config needs a value" },
	{ { "domain", "add", "a", "--=b" }, NULL, "unknown option --" },
	{ { "domain", "add", "a",
	    "--a-very-long-option-name-that-no-table-would-ever-hold-because-it-is-so-long" },
	  NULL,
	  "unknown option" },
};

/* An invocation as one text. */
static char *describe(const struct invocation *inv)
{
	struct strbuf b = { 0 };

	strbuf_puts(&b, inv->noun ? inv->noun : "");
	if (inv->command && inv->command->verb[0])
		strbuf_printf(&b, " %s", inv->command->verb);
	strbuf_puts(&b, "|");
	for (size_t i = 0; i < inv->word_count; i++)
		strbuf_printf(&b, "%s%s", i > 0 ? " " : "", inv->words[i]);
	strbuf_puts(&b, "|");
	for (size_t i = 0; i < inv->option_count; i++)
		strbuf_printf(&b, "%s=%s ", inv->options[i].option->name, inv->options[i].value);
	if (inv->config)
		strbuf_printf(&b, "config=%s ", inv->config);
	strbuf_puts(&b, inv->json ? "json " : "");
	strbuf_puts(&b, inv->help ? "help " : "");
	strbuf_puts(&b, inv->version ? "version " : "");
	return strbuf_take(&b);
}

static enum err parse(const struct line *l, struct invocation *inv, const char **why)
{
	char *argv[ARGS_MAX + 1] = { (char *)"poolbridgectl" };
	int argc = 1;

	while (l->argv[argc - 1]) {
		argv[argc] = (char *)l->argv[argc - 1];
		argc++;
	}
	return command_parse(argc, argv, inv, why);
}

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct invocation inv;
		const char *why = "";
		enum err e = parse(&lines[i], &inv, &why);
		char *found = describe(&inv);

		if (!lines[i].expected) {
			if (e != ERR_SYNTAX || !strstr(why, lines[i].why))
				fail_msg("line %zu: expected '%s', was '%s'", i, lines[i].why, why);
		} else if (e != OK || strcmp(found, lines[i].expected) != 0) {
			fail_msg("line %zu: expected '%s', was '%s' %s", i, lines[i].expected, found, why);
		}
		free(found);
		command_free(&inv);
	}
}

/* After a mistake --json still counts, so that the mistake is a document. */
static void test_json_after_a_mistake(void **state)
{
	static const struct line before = { { "--json", "zebra" }, NULL, NULL };
	static const struct line after = { { "domain", "add", "--phse", "x", "--json" }, NULL, NULL };
	struct invocation inv;
	const char *why;

	(void)state;
	assert_int_equal(parse(&before, &inv, &why), ERR_SYNTAX);
	assert_true(inv.json);
	command_free(&inv);
	assert_int_equal(parse(&after, &inv, &why), ERR_SYNTAX);
	assert_true(inv.json);
	command_free(&inv);
}

static const struct option *find_option(const char *name, size_t n)
{
	size_t count;
	const struct option *table = command_option_table(&count);

	for (size_t i = 0; i < count; i++)
		if (strlen(table[i].name) == n && strncmp(table[i].name, name, n) == 0)
			return &table[i];
	return NULL;
}

/* The table itself: every option that a command names exists, and none is idle. */
static void test_table(void **state)
{
	size_t commands, options;
	const struct command *c = command_table(&commands);
	const struct option *o = command_option_table(&options);
	bool used[64] = { false };

	(void)state;
	assert_true(options <= ARRAY_SIZE(used));
	for (size_t i = 0; i < commands; i++) {
		for (const char *at = c[i].options; *at;) {
			size_t n = strcspn(at, " ");
			const struct option *found = find_option(at, n);

			if (!found)
				fail_msg("%s %s: no option %.*s", c[i].noun, c[i].verb, (int)n, at);
			used[found - o] = true;
			at += n + (at[n] == ' ');
		}
		assert_non_null(c[i].run);
		assert_int_equal(c[i].help[strlen(c[i].help) - 1], '.');
		for (size_t j = 0; j < i; j++)
			assert_false(strcmp(c[i].noun, c[j].noun) == 0 && strcmp(c[i].verb, c[j].verb) == 0);
	}
	for (size_t i = 0; i < options; i++) {
		assert_true(used[i]);
		assert_true(!o[i].value || o[i].value[0]);
	}
}

static void test_help(void **state)
{
	static const struct {
		struct line line;
		const char *has, *has_not;
	} cases[] = {
		{ { { "--help" }, NULL, NULL }, "route explain FROM TO", "--phase legacy" },
		{ { { "domain", "--help" }, NULL, NULL }, "domain add DOMAIN [OPTION...]", "route explain" },
		{ { { "domain", "add", "-h" }, NULL, NULL }, "--phase legacy|coexist|migrated", "--gateway" },
		{ { { "partner", "add", "-h" }, NULL, NULL },
		  "--alias DOMAIN  (may be repeated)",
		  "--no-alias" },
		{ { { "status", "-h" }, NULL, NULL }, "[--json] status\n", "OPTION" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct strbuf text = { 0 };
		struct invocation inv;
		const char *why = "";

		assert_int_equal(parse(&cases[i].line, &inv, &why), OK);
		command_help(&inv, &text);
		if (!strstr(text.s, cases[i].has) || strstr(text.s, cases[i].has_not))
			fail_msg("case %zu: %s", i, text.s);
		strbuf_free(&text);
		command_free(&inv);
	}
}

/* --- the man page --- */

/* The page with every run of blanks and newlines as one blank. */
static char *read_page(void)
{
	const char *top = getenv("top_srcdir");
	char *path = xasprintf("%s/man/poolbridgectl.1", top ? top : ".");
	FILE *f = fopen(path, "r");
	struct strbuf b = { 0 };
	int c;

	if (!f)
		fail_msg("cannot open %s", path);
	while ((c = getc(f)) != EOF) {
		if (c != ' ' && c != '\n')
			strbuf_putc(&b, (char)c);
		else if (b.len > 0 && b.s[b.len - 1] != ' ')
			strbuf_putc(&b, ' ');
	}
	fclose(f);
	free(path);
	return strbuf_take(&b);
}

static char *section(const char *page, const char *from, const char *to)
{
	const char *start = strstr(page, from), *end = start ? strstr(start, to) : NULL;

	if (!end)
		fail_msg("no section %s before %s", from, to);
	return xstrndup(start, (size_t)(end - start));
}

static size_t count_of(const char *text, const char *word)
{
	size_t n = 0;

	while ((text = strstr(text, word)) != NULL) {
		n++;
		text += strlen(word);
	}
	return n;
}

/* ".It Cm user mark Ar legacy|moving|migrated Op Ar ADDRESS... HELP Options: .Fl -from . " */
static char *entry_of(const struct command *c)
{
	struct strbuf b = { 0 };

	strbuf_printf(&b, ".It Cm %s%s%s", c->noun, c->verb[0] ? " " : "", c->verb);
	for (const char *at = c->arguments; *at;) {
		size_t n = strcspn(at, " ");

		if (at[0] == '[')
			strbuf_printf(&b, " Op Ar %.*s", (int)n - 2, at + 1);
		else
			strbuf_printf(&b, " Ar %.*s", (int)n, at);
		at += n + (at[n] == ' ');
	}
	strbuf_printf(&b, " %s ", c->help);
	if (c->options[0])
		strbuf_puts(&b, "Options:");
	for (const char *at = c->options; *at;) {
		size_t n = strcspn(at, " ");

		strbuf_printf(&b, " .Fl -%.*s %s", (int)n, at, at[n] ? "," : ". ");
		at += n + (at[n] == ' ');
	}
	strbuf_putc(&b, '.'); /* of the next macro */
	return strbuf_take(&b);
}

static void test_man_page(void **state)
{
	char *page = read_page();
	char *commands = section(page, ".Sh COMMANDS", ".Sh COMMAND OPTIONS");
	char *options = section(page, ".Sh COMMAND OPTIONS", ".Sh PARTNERS");
	size_t count;
	const struct command *c = command_table(&count);
	const struct option *o;

	(void)state;
	assert_int_equal(count_of(commands, ".It Cm "), count);
	for (size_t i = 0; i < count; i++) {
		char *entry = entry_of(&c[i]);

		if (!strstr(commands, entry))
			fail_msg("man/poolbridgectl.1 does not say: %s", entry);
		free(entry);
	}
	o = command_option_table(&count);
	assert_int_equal(count_of(options, ".It Fl -"), count);
	for (size_t i = 0; i < count; i++) {
		char *entry = xasprintf(".It Fl -%s%s%s %s %s", o[i].name, o[i].value ? " Ar " : "",
					o[i].value ? o[i].value : "", o[i].help,
					o[i].many ? "May be repeated. ." : ".");

		if (!strstr(options, entry))
			fail_msg("man/poolbridgectl.1 does not say: %s", entry);
		free(entry);
	}
	free(commands);
	free(options);
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),    cmocka_unit_test(test_json_after_a_mistake),
		cmocka_unit_test(test_table),    cmocka_unit_test(test_help),
		cmocka_unit_test(test_man_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
