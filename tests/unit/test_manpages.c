/*
 * The man page poolbridge.conf(5) and the example configuration against the
 * table of options, in both directions: every option is described with its
 * type, range, default and help as the table has them, and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/core/config.h"

static const struct config_option *options;
static size_t option_count;

/* A file of the source folder as a string. */
static char *read_source(const char *name)
{
	const char *top = getenv("top_srcdir");
	char *path = xasprintf("%s/%s", top != NULL ? top : ".", name);
	FILE *f = fopen(path, "r");
	struct strbuf b = { 0 };
	int c;

	if (f == NULL)
		fail_msg("cannot open %s", path);
	while ((c = getc(f)) != EOF)
		strbuf_putc(&b, (char)c);
	fclose(f);
	free(path);
	return strbuf_take(&b);
}

/* What the .It line of an option must be. */
static char *heading(const struct config_option *o)
{
	struct strbuf b = { 0 };

	strbuf_printf(&b, "\n.It Ic %s No (%s", o->name, config_type_name(o->type));
	if (o->type == CONFIG_CHOICE)
		strbuf_printf(&b, " of %s", o->choices);
	if (o->type == CONFIG_INT || o->type == CONFIG_SECONDS)
		strbuf_printf(&b, " from %.10g to %.10g", o->min, o->max);
	if (o->fallback == NULL)
		strbuf_puts(&b, ", required)\n");
	else
		strbuf_printf(&b, ", default %s)\n", o->fallback[0] != '\0' ? o->fallback : "empty");
	return strbuf_take(&b);
}

static void test_every_option_is_described(void **state)
{
	char *page = read_source("man/poolbridge.conf.5");

	(void)state;
	for (size_t i = 0; i < option_count; i++) {
		char *line = heading(&options[i]);
		const char *text = strstr(page, line), *help = options[i].help;

		if (text == NULL)
			fail_msg("man/poolbridge.conf.5 has no line %s", line + 1);
		/* The help may be broken into lines anywhere. */
		for (text += strlen(line); *help != '\0'; text++, help++) {
			if (*help != (*text == '\n' ? ' ' : *text))
				fail_msg("%s: the man page differs from the table at: %.40s", options[i].name,
					 help);
		}
		assert_int_equal(*text, '\n');
		free(line);
	}
	free(page);
}

static bool is_option(const char *name, size_t len)
{
	for (size_t i = 0; i < option_count; i++) {
		if (strlen(options[i].name) == len && strncmp(options[i].name, name, len) == 0)
			return true;
	}
	return false;
}

static void test_every_description_is_an_option(void **state)
{
	static const char mark[] = "\n.It Ic ";
	char *page = read_source("man/poolbridge.conf.5");
	const char *at = page;
	size_t found = 0;

	(void)state;
	while ((at = strstr(at, mark)) != NULL) {
		size_t len;

		at += sizeof(mark) - 1;
		len = strcspn(at, " \n");
		if (!is_option(at, len))
			fail_msg("man/poolbridge.conf.5 describes %.*s, which is no option", (int)len, at);
		found++;
	}
	assert_int_equal(found, option_count);
	free(page);
}

/* --- conf/poolbridge.conf --- */

/* The example with its commented options, "#name = ...", put into force. */
static char *uncomment(const char *text)
{
	struct strbuf b = { 0 };

	for (const char *line = text; *line != '\0';) {
		size_t len = strcspn(line, "\n"), blank = strspn(line, "\t");
		const char *word = line + blank + 1;

		if (line[blank] == '#' &&
		    word[strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_")] == ' ' &&
		    strncmp(strchr(word, ' '), " = ", 3) == 0)
			strbuf_add(&b, word, len - blank - 1);
		else
			strbuf_add(&b, line, len);
		strbuf_putc(&b, '\n');
		line += len + (line[len] == '\n' ? 1 : 0);
	}
	return strbuf_take(&b);
}

static struct config *load_text(const char *text)
{
	char path[] = "/tmp/poolbridge-test-manpages-XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	struct config *c = NULL;
	const char *why = "";
	enum err e;

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	e = config_load(path, &c, &why);
	remove(path);
	if (e != OK)
		fail_msg("conf/poolbridge.conf: %s", why);
	return c;
}

static void test_example_works(void **state)
{
	char *text = read_source("conf/poolbridge.conf");
	struct config *c = load_text(text);
	const char *why = "";

	(void)state;
	if (config_check_daemon(c, &why) != OK)
		fail_msg("%s", why);
	config_free(c);
	free(text);
}

/* Every option has its line, and the numbers shown are the defaults. */
static void test_example_is_complete(void **state)
{
	char *text = read_source("conf/poolbridge.conf"), *full = uncomment(text);
	struct config *c = load_text(full), *defaults = load_text("registry = \"x\";\n");

	(void)state;
	for (size_t i = 0; i < option_count; i++) {
		const struct config_option *o = &options[i];
		const char *dot = strchr(o->name, '.');
		char *line = xasprintf("\n%s%s = ", dot != NULL ? "\t" : "", dot != NULL ? dot + 1 : o->name);
		char *commented =
			xasprintf("%.*s#%s", dot != NULL ? 2 : 1, line, line + (dot != NULL ? 2 : 1));
		const char *shown = (const char *)c + o->offset,
			   *expected = (const char *)defaults + o->offset;

		if (strstr(text, line) == NULL && strstr(text, commented) == NULL)
			fail_msg("conf/poolbridge.conf does not show %s", o->name);
		if ((o->type == CONFIG_INT || o->type == CONFIG_SECONDS) &&
		    memcmp(shown, expected, sizeof(int64_t)) != 0)
			fail_msg("conf/poolbridge.conf: %s is not shown with its default", o->name);
		if (o->type == CONFIG_CHOICE && memcmp(shown, expected, sizeof(int)) != 0)
			fail_msg("conf/poolbridge.conf: %s is not shown with its default", o->name);
		free(line);
		free(commented);
	}
	config_free(c);
	config_free(defaults);
	free(text);
	free(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_option_is_described),
		cmocka_unit_test(test_every_description_is_an_option),
		cmocka_unit_test(test_example_works),
		cmocka_unit_test(test_example_is_complete),
	};

	options = config_options(&option_count);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
