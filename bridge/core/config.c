/*
 * config.c - reads the configuration file (libconfig's only user) into a struct
 * config, row by row of the table in config_options.c.
 *
 * It checks what a table can say: names, types, ranges, choices. What only the
 * daemon needs (addresses that parse, options that need each other) is in
 * config_check.c. A value is taken as it is or refused, never repaired.
 *
 * A struct config owns copies of all its strings; nothing of libconfig's tree
 * outlives config_load(). Nothing is fatal but want of memory.
 */
#include "bridge/core/config.h"

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bridge/core/config_internal.h"
#include "bridge/core/nearest.h"

/* What the functions of one config_load() share. */
struct reader {
	struct config_loaded *c;
	char *folder; /* of the file: relative paths and includes start there */
	const char **why;
};

enum err config_fault(const char **why, enum err e, const char *fmt, ...)
{
	static char text[2048];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	*why = text;
	return e;
}

const char *config_where(const struct config_loaded *c, const char *name)
{
	static char text[1024];

	for (size_t i = 0; i < config_option_count(); i++) {
		if (strcmp(config_option_at(i)->name, name) != 0)
			continue;
		if (c->place[i].line == 0)
			snprintf(text, sizeof(text), "%s: option '%s' (not given)", c->config.file, name);
		else
			snprintf(text, sizeof(text), "%s:%u: option '%s'", c->place[i].file, c->place[i].line,
				 name);
		return text;
	}
	abort(); /* a name that is in no table: a mistake of the caller */
}

/* --- the memory of a struct config --- */

static const char *own(struct config_loaded *c, char *s)
{
	c->strings = xrealloc(c->strings, (c->string_count + 1) * sizeof(char *));
	return c->strings[c->string_count++] = s;
}

static void *member(struct config_loaded *c, const struct config_option *o)
{
	return (char *)&c->config + o->offset;
}

void config_free(struct config *config)
{
	struct config_loaded *c = (struct config_loaded *)config;

	if (c == NULL)
		return;
	for (size_t i = 0; i < c->string_count; i++)
		free(c->strings[i]);
	free(c->strings);
	free(c);
}

/* --- values --- */

/* The name of a file as the administrator can open it: libconfig leaves that of an @include as it was written. */
static const char *full_name(const struct reader *r, const char *file)
{
	struct config_loaded *c = r->c;

	if (file == NULL || strcmp(file, c->config.file) == 0)
		return c->config.file;
	return own(c, file[0] == '/' ? xstrdup(file) : xasprintf("%s/%s", r->folder, file));
}

static const char *file_of(const struct reader *r, const config_setting_t *s)
{
	return full_name(r, config_setting_source_file(s));
}

static enum err wrong(const struct reader *r, const struct config_option *o, const config_setting_t *s,
		      const char *what, const char *mend)
{
	return config_fault(r->why, ERR_SYNTAX, "%s:%u: option '%s': %s; %s", file_of(r, s),
			    config_setting_source_line(s), o->name, what, mend);
}

static enum err read_string(const struct reader *r, const struct config_option *o, const config_setting_t *s,
			    const char **out)
{
	const char *text = config_setting_get_string(s);

	if (text == NULL)
		return wrong(r, o, s, "must be a string", "write it between quotes: \"...\"");
	if (o->fallback == NULL && text[0] == '\0')
		return wrong(r, o, s, "must not be empty", "name a file");
	if (o->type == CONFIG_PATH && text[0] != '\0' && text[0] != '/')
		*out = own(r->c, xasprintf("%s/%s", r->folder, text));
	else
		*out = own(r->c, xstrdup(text));
	return OK;
}

static enum err read_strings(const struct reader *r, const struct config_option *o, const config_setting_t *s,
			     struct config_list *out)
{
	static const char form[] = "write it as [ \"...\", \"...\" ]";
	struct config_list list = { .count = 0 };
	int n = config_setting_length(s);

	/* One string stands for a list of it, "" for none. */
	if (config_setting_get_string(s) != NULL) {
		if (config_setting_get_string(s)[0] != '\0')
			list.item[list.count++] = own(r->c, xstrdup(config_setting_get_string(s)));
		*out = list;
		return OK;
	}
	if (!config_setting_is_array(s) && !config_setting_is_list(s))
		return wrong(r, o, s, "must be a list of strings", form);
	if (n > CONFIG_LIST_MAX)
		return config_fault(r->why, ERR_LIMIT, "%s:%u: option '%s': has %d items; %d are possible",
				    file_of(r, s), config_setting_source_line(s), o->name, n,
				    CONFIG_LIST_MAX);
	for (int i = 0; i < n; i++) {
		const char *item = config_setting_get_string_elem(s, i);

		if (item == NULL)
			return wrong(r, o, s, "must be a list of strings", form);
		if (item[0] == '\0')
			return wrong(r, o, s, "holds an empty string", "remove it");
		list.item[list.count++] = own(r->c, xstrdup(item));
	}
	*out = list;
	return OK;
}

static enum err read_number(const struct reader *r, const struct config_option *o, const config_setting_t *s,
			    int64_t *out)
{
	const bool seconds = o->type == CONFIG_SECONDS;
	double v;

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		v = (double)config_setting_get_int64(s);
		break;
	case CONFIG_TYPE_FLOAT:
		if (seconds) {
			v = config_setting_get_float(s);
			break;
		}
		/* fall through */
	default:
		return wrong(r, o, s, seconds ? "must be a number of seconds" : "must be a whole number",
			     seconds ? "write it without quotes or unit: 30 or 0.5"
				     : "write it without quotes, unit or point");
	}
	if (!(v >= o->min && v <= o->max))
		return config_fault(
			r->why, ERR_LIMIT,
			"%s:%u: option '%s': %.15g is out of range; it may be from %.15g to %.15g",
			file_of(r, s), config_setting_source_line(s), o->name, v, o->min, o->max);
	*out = seconds ? (int64_t)(v * 1000 + 0.5) : (int64_t)v;
	return OK;
}

/* Where text is among the words, -1 when it is not. */
static int choice_index(const char *words, const char *text)
{
	size_t n = strlen(text);

	for (int i = 0;; i++) {
		size_t len = strcspn(words, " ");

		if (len == n && strncmp(words, text, n) == 0)
			return i;
		if (words[len] == '\0')
			return -1;
		words += len + 1;
	}
}

static enum err read_choice(const struct reader *r, const struct config_option *o, const config_setting_t *s,
			    int *out)
{
	const char *text = config_setting_get_string(s);
	int i = text != NULL ? choice_index(o->choices, text) : -1;

	if (text == NULL)
		return wrong(r, o, s, "must be a string", "write it between quotes: \"...\"");
	if (i < 0)
		return config_fault(r->why, ERR_SYNTAX, "%s:%u: option '%s': \"%.*s\" is none of: %s",
				    file_of(r, s), config_setting_source_line(s), o->name, CONFIG_NAME_SHOWN,
				    text, o->choices);
	*out = i;
	return OK;
}

static enum err read_value(const struct reader *r, const struct config_option *o, const config_setting_t *s)
{
	switch (o->type) {
	case CONFIG_STRING:
	case CONFIG_PATH:
		return read_string(r, o, s, member(r->c, o));
	case CONFIG_STRINGS:
		return read_strings(r, o, s, member(r->c, o));
	case CONFIG_INT:
	case CONFIG_SECONDS:
		return read_number(r, o, s, member(r->c, o));
	case CONFIG_CHOICE:
		return read_choice(r, o, s, member(r->c, o));
	}
	abort();
}

static void set_fallback(struct config_loaded *c, const struct config_option *o)
{
	struct config_list *list;

	switch (o->type) {
	case CONFIG_STRING:
	case CONFIG_PATH:
		*(const char **)member(c, o) = o->fallback;
		break;
	case CONFIG_STRINGS:
		list = member(c, o);
		list->count = 0;
		if (o->fallback[0] != '\0')
			list->item[list->count++] = o->fallback; /* no row has two */
		break;
	case CONFIG_INT:
		*(int64_t *)member(c, o) = strtoll(o->fallback, NULL, 10);
		break;
	case CONFIG_SECONDS:
		*(int64_t *)member(c, o) = (int64_t)(strtod(o->fallback, NULL) * 1000 + 0.5);
		break;
	case CONFIG_CHOICE:
		*(int *)member(c, o) = choice_index(o->choices, o->fallback);
		break;
	}
}

/* --- the tree --- */

static enum err unknown_group(const struct reader *r, const config_setting_t *group)
{
	const char *name = config_setting_name(group);
	struct nearest n;
	char known[64];

	nearest_start(&n, name);
	for (size_t i = 0; i < config_option_count(); i++) {
		const char *option = config_option_at(i)->name, *dot = strchr(option, '.');

		if (dot == NULL)
			continue;
		snprintf(known, sizeof(known), "%.*s", (int)(dot - option), option);
		nearest_offer(&n, known);
	}
	return config_fault(
		r->why, ERR_NOT_FOUND, "%s:%u: group '%.*s': there is no such group of options%s%s%s",
		file_of(r, group), config_setting_source_line(group), CONFIG_NAME_SHOWN, name,
		n.found[0] != '\0' ? "; did you mean '" : "", n.found, n.found[0] != '\0' ? "'?" : "");
}

static enum err unknown(const struct reader *r, const config_setting_t *s, const char *name)
{
	const char *near = config_nearest(name);

	if (config_setting_is_group(s) && strchr(name, '.') == NULL)
		return unknown_group(r, s);
	return config_fault(r->why, ERR_NOT_FOUND, "%s:%u: option '%.*s': there is no such option%s%s%s",
			    file_of(r, s), config_setting_source_line(s), CONFIG_NAME_SHOWN, name,
			    near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
			    near != NULL ? "'?" : "");
}

static enum err read_option(const struct reader *r, const config_setting_t *s, const char *name)
{
	for (size_t i = 0; i < config_option_count(); i++) {
		if (strcmp(config_option_at(i)->name, name) != 0)
			continue;
		r->c->place[i] = (struct config_place){ file_of(r, s), config_setting_source_line(s) };
		return read_value(r, config_option_at(i), s);
	}
	return unknown(r, s, name);
}

static enum err read_group(const struct reader *r, const config_setting_t *group)
{
	const char *name = config_setting_name(group);
	enum err e = OK;

	if (!config_setting_is_group(group))
		return config_fault(r->why, ERR_SYNTAX,
				    "%s:%u: '%s' is a group of options; write it as %s: { ... };",
				    file_of(r, group), config_setting_source_line(group), name, name);
	for (int i = 0; e == OK && i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
		char *full = xasprintf("%s.%s", name, config_setting_name(s));

		e = read_option(r, s, full);
		free(full);
	}
	return e;
}

static enum err read_tree(const struct reader *r, const config_setting_t *root)
{
	enum err e = OK;

	for (int i = 0; e == OK && i < config_setting_length(root); i++) {
		const config_setting_t *s = config_setting_get_elem(root, (unsigned)i);
		const char *name = config_setting_name(s);

		e = config_is_group(name) ? read_group(r, s) : read_option(r, s, name);
	}
	return e;
}

/* The options without default are there; those whose default is another's value get it. */
static enum err complete(const struct reader *r)
{
	struct config *c = &r->c->config;

	for (size_t i = 0; i < config_option_count(); i++) {
		const struct config_option *o = config_option_at(i);

		if (o->fallback == NULL && r->c->place[i].line == 0)
			return config_fault(r->why, ERR_NOT_FOUND,
					    "%s: option '%s': is missing; add the line: %s = \"...\";",
					    c->file, o->name, o->name);
	}
	if (c->state[0] == '\0')
		c->state = own(r->c, xasprintf("%s.state", c->registry));
	if (c->control_socket[0] == '\0')
		c->control_socket = own(r->c, xasprintf("%s.sock", c->registry));
	return OK;
}

const struct config_list *config_next_hops(const struct config *c, enum pool pool)
{
	return pool == POOL_NEW ? &c->sip.new_pool : &c->sip.legacy_pool;
}

/* libconfig would say only "file I/O error", and "syntax error" to what Windows' editors may write. */
static enum err check_file(const char *file, const char **why)
{
	char head[3] = { 0 };
	struct stat st;
	FILE *f = fopen(file, "r");
	int error = errno;

	if (f != NULL) {
		error = fstat(fileno(f), &st) != 0 ? errno : S_ISDIR(st.st_mode) ? EISDIR : 0;
		if (error == 0 && fread(head, 1, sizeof(head), f) < sizeof(head) && ferror(f))
			error = errno;
		fclose(f);
	}
	if (error != 0)
		return config_fault(why, ERR_IO, "%s: cannot be read: %s; %s", file, strerror(error),
				    error == EACCES ? "run as root (sudo), or as a user who may read it"
						    : "name the configuration file with -c");
	if (memcmp(head, "\xef\xbb\xbf", 3) == 0 || memcmp(head, "\xff\xfe", 2) == 0 ||
	    memcmp(head, "\xfe\xff", 2) == 0)
		return config_fault(why, ERR_SYNTAX,
				    "%s:1: begins with a byte order mark; save the file as UTF-8 without one",
				    file);
	return OK;
}

/* How to mend what libconfig refuses; it names the line in which it could not go on. */
static const char *mend_of(const char *problem)
{
	if (strcmp(problem, "syntax error") == 0)
		return "; look there and in the line before for a missing quote, bracket or equals sign";
	if (strcmp(problem, "duplicate setting name") == 0)
		return "; the option or group stands above already: keep one of the two";
	if (strcmp(problem, "cannot open include file") == 0)
		return "; a relative one is looked for in the folder of the configuration file";
	return "";
}

static char *folder_of(const char *file)
{
	const char *slash = strrchr(file, '/');

	if (slash == NULL)
		return xstrdup(".");
	return slash == file ? xstrdup("/") : xstrndup(file, (size_t)(slash - file));
}

enum err config_load(const char *file, struct config **out, const char **why)
{
	struct config_loaded *c = xcalloc(1, sizeof(*c));
	struct reader r = { .c = c, .folder = folder_of(file), .why = why };
	config_t tree;
	enum err e;

	config_init(&tree);
	config_set_include_dir(&tree, r.folder);
	c->config.file = own(c, xstrdup(file));
	for (size_t i = 0; i < config_option_count(); i++)
		set_fallback(c, config_option_at(i));

	e = check_file(file, why);
	if (e != OK)
		goto done;
	if (config_read_file(&tree, file) != CONFIG_TRUE) {
		e = config_fault(why, ERR_SYNTAX, "%s:%d: %s%s", full_name(&r, config_error_file(&tree)),
				 config_error_line(&tree), config_error_text(&tree),
				 mend_of(config_error_text(&tree)));
		goto done;
	}
	e = read_tree(&r, config_root_setting(&tree));
	if (e == OK)
		e = complete(&r);
done:
	config_destroy(&tree);
	free(r.folder);
	if (e == OK)
		*out = &c->config;
	else
		config_free(&c->config);
	return e;
}
