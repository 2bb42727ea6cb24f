/*
 * map_message.c - the parts of one instant message that have their own form on
 * each side (RFC 7572): thread and Call-ID, language, the time of one that has
 * waited, and the stanza for what a pool's user says.
 *
 * Pure: from and to are JIDs that jid_parse() has made. Nothing is fatal.
 */
#include "bridge/gateway/map.h"

#include <string.h>
#include <time.h>

#include "bridge/xmpp/xml.h"

#define ALPHA "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

enum { LANG_MAX = 64 };

/* callid = word [ "@" word ] (RFC 3261 section 25.1). */
static bool is_call_id(const char *s)
{
	static const char word[] = ALPHA DIGIT "-.!%*_+`'~()<>:\\\"/[]?{}";
	size_t n = strspn(s, word);

	if (n == 0)
		return false;
	if (s[n] == '@') {
		s += n + 1;
		n = strspn(s, word);
	}
	return n > 0 && s[n] == '\0';
}

bool map_thread_to_call_id(const char *thread, char *out, size_t size)
{
	return is_call_id(thread) && str_copy(out, size, thread);
}

/* "Z", or "+hh:mm" from UTC, in seconds; false when it is neither. */
static bool read_zone(const char *s, long *offset)
{
	static const char form[] = "+dd:dd";
	int hours, minutes;

	*offset = 0;
	if (strcmp(s, "Z") == 0)
		return true;
	if (strlen(s) != strlen(form) || (s[0] != '+' && s[0] != '-'))
		return false;
	for (size_t i = 1; form[i] != '\0'; i++)
		if (form[i] == 'd' ? strchr(DIGIT, s[i]) == NULL : s[i] != form[i])
			return false;
	hours = (s[1] - '0') * 10 + s[2] - '0';
	minutes = (s[4] - '0') * 10 + s[5] - '0';
	*offset = (hours * 3600L + minutes * 60L) * (s[0] == '-' ? -1 : 1);
	return hours < 24 && minutes < 60;
}

bool map_stamp_to_date(const char *stamp, char out[MAP_DATE_SIZE])
{
	struct tm when = { .tm_isdst = 0 };
	const char *rest =
		strlen(stamp) > 10 && stamp[10] == 'T' ? strptime(stamp, "%Y-%m-%dT%H:%M:%S", &when) : NULL;
	long offset;
	time_t seconds;

	if (rest != NULL && *rest == '.')
		rest += 1 + strspn(rest + 1, DIGIT);
	if (rest == NULL || !read_zone(rest, &offset))
		return false;
	seconds = timegm(&when) - offset;
	return gmtime_r(&seconds, &when) != NULL && when.tm_year >= 70 && when.tm_year <= 8099 &&
	       strftime(out, MAP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &when) > 0;
}

/* 1*8ALPHA *( "-" 1*8alphanum ): the shape of RFC 5646, which has the registry for the rest. */
bool map_lang_valid(const char *lang)
{
	size_t n = strspn(lang, ALPHA);

	if (strlen(lang) > LANG_MAX)
		return false;
	while (n >= 1 && n <= 8 && lang[n] == '-') {
		lang += n + 1;
		n = strspn(lang, ALPHA DIGIT);
	}
	return n >= 1 && n <= 8 && lang[n] == '\0';
}

/* Line breaks are LF in XML (XML 1.0 section 2.11) and CRLF in text/plain (RFC 2046 section 4.1.1). */
static void put_text(struct strbuf *inner, const char *text, size_t size)
{
	const char *end = text + size, *break_at;

	while ((break_at = memmem(text, (size_t)(end - text), "\r\n", 2)) != NULL) {
		xml_text(inner, text, (size_t)(break_at - text));
		text = break_at + 1;
	}
	xml_text(inner, text, (size_t)(end - text));
}

/* Nothing where there is no value; false when XML cannot carry it. */
static bool put_element(struct strbuf *inner, const char *name, const char *value, size_t size)
{
	if (value == NULL)
		return true;
	if (!utf8_is_xml(value, size))
		return false;
	strbuf_printf(inner, "<%s>", name);
	put_text(inner, value, size);
	strbuf_printf(inner, "</%s>", name);
	return true;
}

static size_t length(const char *s)
{
	return s != NULL ? strlen(s) : 0;
}

static void put_empty(struct strbuf *inner, const char *name, const char *ns, const char *id)
{
	strbuf_printf(inner, "<%s xmlns='%s'", name, ns);
	xml_attr(inner, "id", id);
	strbuf_puts(inner, "/>");
}

/* Chat state, receipts and name: XEP-0085, XEP-0184, XEP-0172. */
static bool put_signals(struct strbuf *inner, const struct map_message *m)
{
	if (m->received_id != NULL && !utf8_is_xml(m->received_id, strlen(m->received_id)))
		return false;
	if (m->nick != NULL && !utf8_is_xml(m->nick, strlen(m->nick)))
		return false;
	if (m->chat_state != CHAT_STATE_NONE)
		put_empty(inner, chat_state_name(m->chat_state), NS_CHAT_STATES, NULL);
	if (m->receipt_request)
		put_empty(inner, "request", NS_RECEIPTS, NULL);
	if (m->received_id != NULL)
		put_empty(inner, "received", NS_RECEIPTS, m->received_id);
	if (m->nick != NULL) {
		strbuf_puts(inner, "<nick xmlns='" NS_NICK "'>");
		xml_text(inner, m->nick, strlen(m->nick));
		strbuf_puts(inner, "</nick>");
	}
	return true;
}

/* Without a type a message is a single one, of type normal (RFC 7572 section 5). */
enum err map_message_to_stanza(const struct map_message *m, struct stanza **out)
{
	struct strbuf inner = { .s = NULL };
	enum err e = ERR_SYNTAX;

	if (put_element(&inner, "subject", m->subject, length(m->subject)) &&
	    put_element(&inner, "body", m->body, m->body_size) &&
	    put_element(&inner, "thread", m->thread, length(m->thread)) && put_signals(&inner, m)) {
		const char *lang = m->lang != NULL && map_lang_valid(m->lang) ? m->lang : NULL;

		if (m->more != NULL)
			strbuf_add(&inner, m->more->s, m->more->len);
		*out = stanza_make(STANZA_MESSAGE, m->from, m->to, m->id, m->type, lang, &inner);
		e = OK;
	}
	strbuf_free(&inner);
	return e;
}
