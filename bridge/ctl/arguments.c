/*
 * arguments.c - a command line against the tables of command.c.
 *
 * The tables say everything: which words and options a command takes, how many,
 * and, where a value is one of several words, which. So a command's function gets
 * only what its row allows. Options stand anywhere after the verb, those of all
 * commands anywhere; "--" ends them, and "-" is an argument.
 *
 * Nothing here reads a file or the registry.
 */
#include "bridge/ctl/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/nearest.h"

static const struct option global_options[] = {
	{ "config", "FILE", false, NULL },
	{ "json", NULL, false, NULL },
	{ "help", NULL, false, NULL },
	{ "version", NULL, false, NULL },
};

struct parser {
	struct invocation *inv;
	char *const *argv;
	int argc, next;
	bool words_only; /* after "--" */
	char why[1024];
};

static enum err fail(struct parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

static enum err fail(struct parser *p, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(p->why, sizeof(p->why), fmt, args);
	va_end(args);
	return ERR_SYNTAX;
}

/* Walk the items of "a|b" or "a b"; NULL at the end. */
static const char *next_item(const char *at, char separator, char *item, size_t size)
{
	const char *end;

	if (!*at)
		return NULL;
	end = strchr(at, separator);
	if (!end)
		end = at + strlen(at);
	snprintf(item, size, "%.*s", (int)(end - at), at);
	return *end ? end + 1 : end;
}

static bool is_item_of(const char *list, char separator, const char *word, struct nearest *n)
{
	char item[64];

	while ((list = next_item(list, separator, item, sizeof(item))) != NULL) {
		if (strcmp(item, word) == 0)
			return true;
		if (n)
			nearest_offer(n, item);
	}
	return false;
}

/* ": did you mean 'x'?", or nothing; the dashes are those of an option. */
static const char *hint_with(const char *dashes, const struct nearest *n)
{
	static char text[NEAREST_WORD_MAX + 32];

	text[0] = '\0';
	if (n->found[0])
		snprintf(text, sizeof(text), ": did you mean '%s%s'?", dashes, n->found);
	return text;
}

static const char *hint(const struct nearest *n)
{
	return hint_with("", n);
}

/* A value or argument that is one of several words: lower-case words with | between. */
static bool is_choice(const char *value)
{
	return strchr(value, '|') && value[0] >= 'a' && value[0] <= 'z';
}

static enum err check_choice(struct parser *p, const char *what, const char *choices, const char *word)
{
	struct nearest n;

	nearest_start(&n, word);
	if (!is_choice(choices) || is_item_of(choices, '|', word, &n))
		return OK;
	return fail(p, "%s '%s' is not one of %s%s", what, word, choices, hint(&n));
}

/* --- options --- */

static const struct option *find_option(const struct parser *p, const char *name, struct nearest *n)
{
	const struct command *c = p->inv->command;
	size_t count;
	const struct option *table = command_option_table(&count);

	for (size_t i = 0; i < ARRAY_SIZE(global_options); i++) {
		if (strcmp(global_options[i].name, name) == 0)
			return &global_options[i];
		nearest_offer(n, global_options[i].name);
	}
	for (size_t i = 0; c && i < count; i++)
		if (is_item_of(c->options, ' ', table[i].name, NULL)) {
			if (strcmp(table[i].name, name) == 0)
				return &table[i];
			nearest_offer(n, table[i].name);
		}
	return NULL;
}

static enum err keep_option(struct parser *p, const struct option *o, const char *value)
{
	struct invocation *inv = p->inv;
	char what[80];

	if (strcmp(o->name, "json") == 0)
		inv->json = true;
	else if (strcmp(o->name, "help") == 0)
		inv->help = true;
	else if (strcmp(o->name, "version") == 0)
		inv->version = true;
	else if (strcmp(o->name, "config") == 0)
		inv->config = value;
	else {
		if (!o->many && command_value(inv, o->name))
			return fail(p, "the option --%s is given twice", o->name);
		inv->options = xrealloc(inv->options, (inv->option_count + 1) * sizeof(*inv->options));
		inv->options[inv->option_count++] = (struct option_value){ o, value };
		snprintf(what, sizeof(what), "the value of --%s", o->name);
		return o->value ? check_choice(p, what, o->value, value) : OK;
	}
	return OK;
}

static enum err parse_option(struct parser *p, const char *text)
{
	size_t length = strcspn(text, "=");
	const char *value = text[length] ? text + length + 1 : NULL;
	char name[64];
	const struct option *o;
	struct nearest n;

	snprintf(name, sizeof(name), "%.*s", (int)length, text);
	nearest_start(&n, name);
	o = length < sizeof(name) ? find_option(p, name, &n) : NULL;
	if (!o && !p->inv->command)
		return fail(p, "the option --%s must stand after the noun and the verb%s", name,
			    hint_with("--", &n));
	if (!o)
		return fail(p, "unknown option --%s of '%s%s%s'%s", name, p->inv->command->noun,
			    p->inv->command->verb[0] ? " " : "", p->inv->command->verb, hint_with("--", &n));
	if (!o->value && value)
		return fail(p, "the option --%s takes no value", name);
	if (o->value && !value) {
		if (p->next == p->argc)
			return fail(p, "the option --%s needs a value: %s", name, o->value);
		value = p->argv[p->next++];
	}
	return keep_option(p, o, o->value ? value : "");
}

static enum err parse_short_option(struct parser *p, const char *text)
{
	if (strcmp(text, "-h") == 0)
		return keep_option(p, &global_options[2], NULL);
	if (strcmp(text, "-V") == 0)
		return keep_option(p, &global_options[3], NULL);
	if (strcmp(text, "-c") != 0)
		return fail(p, "unknown option %s (an argument that begins with '-' stands after '--')",
			    text);
	if (p->next == p->argc)
		return fail(p, "the option -c needs a value: FILE");
	return keep_option(p, &global_options[0], p->argv[p->next++]);
}

/* --- nouns, verbs, arguments --- */

static enum err take_noun(struct parser *p, const char *word)
{
	size_t count;
	const struct command *table = command_table(&count);
	struct nearest n;

	nearest_start(&n, word);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(table[i].noun, word) == 0) {
			p->inv->noun = table[i].noun;
			if (!table[i].verb[0])
				p->inv->command = &table[i];
			return OK;
		}
		nearest_offer(&n, table[i].noun);
	}
	return fail(p, "unknown noun '%s'%s (poolbridgectl --help lists them)", word, hint(&n));
}

static enum err take_verb(struct parser *p, const char *word)
{
	const char *noun = p->inv->noun;
	size_t count;
	const struct command *table = command_table(&count);
	struct nearest n;

	nearest_start(&n, word);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(table[i].noun, noun) != 0)
			continue;
		if (strcmp(table[i].verb, word) == 0) {
			p->inv->command = &table[i];
			return OK;
		}
		nearest_offer(&n, table[i].verb);
	}
	return fail(p, "unknown verb '%s' of '%s'%s (poolbridgectl %s --help lists them)", word, noun,
		    hint(&n), noun);
}

static enum err take_word(struct parser *p, const char *word)
{
	struct invocation *inv = p->inv;

	if (!inv->noun)
		return take_noun(p, word);
	if (!inv->command)
		return take_verb(p, word);
	inv->words[inv->word_count++] = word;
	return OK;
}

/* The words against the row's arguments. */
static enum err check_words(struct parser *p)
{
	const struct invocation *inv = p->inv;
	const char *at = inv->command->arguments;
	char item[64];
	size_t i = 0;
	enum err e;

	while ((at = next_item(at, ' ', item, sizeof(item))) != NULL) {
		if (strstr(item, "..."))
			return OK;
		if (i == inv->word_count)
			return item[0] == '[' ? OK : fail(p, "%s is missing", item);
		e = check_choice(p, "the word", item, inv->words[i++]);
		if (e != OK)
			return e;
	}
	return i == inv->word_count ? OK : fail(p, "unexpected argument '%s'", inv->words[i]);
}

static enum err check_complete(struct parser *p)
{
	if (p->inv->help || p->inv->version)
		return OK;
	if (!p->inv->noun)
		return fail(p, "a noun and a verb are missing (poolbridgectl --help lists them)");
	if (!p->inv->command)
		return fail(p, "a verb is missing after '%s' (poolbridgectl %s --help lists them)",
			    p->inv->noun, p->inv->noun);
	return check_words(p);
}

enum err command_parse(int argc, char *const *argv, struct invocation *out, const char **why)
{
	static struct parser p;
	enum err e = OK, first = OK;

	*out = (struct invocation){ .words = xcalloc((size_t)argc + 1, sizeof(*out->words)) };
	p = (struct parser){ .inv = out, .argv = argv, .argc = argc, .next = 1 };
	/* After an error only --json is of interest: the error is a document then. */
	while (p.next < argc) {
		const char *text = argv[p.next++];

		if (first != OK) {
			out->json |= strcmp(text, "--json") == 0;
			continue;
		}
		if (p.words_only || text[0] != '-' || !text[1])
			e = take_word(&p, text);
		else if (text[1] != '-')
			e = parse_short_option(&p, text);
		else if (text[2])
			e = parse_option(&p, text + 2);
		else
			p.words_only = true;
		first = e;
	}
	if (first == OK)
		first = check_complete(&p);
	if (first != OK)
		*why = p.why;
	return first;
}

void command_free(struct invocation *inv)
{
	free(inv->words);
	free(inv->options);
}

const char *command_value(const struct invocation *inv, const char *name)
{
	for (size_t i = 0; i < inv->option_count; i++)
		if (strcmp(inv->options[i].option->name, name) == 0)
			return inv->options[i].value;
	return NULL;
}
