/* test_map_content.c - what bodies of SIP requests say: each type, and what is wrong with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map_content.h"

#define TEXT        MAP_CONTENT_TEXT
#define EMPTY       MAP_CONTENT_EMPTY
#define UNSUPPORTED MAP_CONTENT_UNSUPPORTED

/* Exactly so many bytes: the sanitizer sees a read beyond. */
static enum err read_body(const char *type, const char *body, size_t n, struct map_content *out)
{
	char *bytes = malloc(n > 0 ? n : 1);
	enum err e;

	assert_non_null(bytes);
	memcpy(bytes, body, n);
	e = map_content_read(type, bytes, n, out);
	free(bytes);
	return e;
}

struct text_case {
	const char *type, *body;
	enum err expected;
	enum map_content_kind kind;
	const char *text;
};

static void check(const struct text_case *c, size_t n)
{
	struct map_content content = { .refresh = 777 };
	enum err e = read_body(c->type, c->body, n, &content);

	if (e != c->expected)
		fail_msg("%s: %s: %s", c->type, c->body, err_text(e));
	if (e != OK) {
		assert_int_equal(content.refresh, 777);
		return;
	}
	if (content.kind != c->kind)
		fail_msg("%s: %s: kind %d", c->type, c->body, (int)content.kind);
	if ((content.text != NULL) != (c->kind == TEXT) ||
	    (c->kind == TEXT && strcmp(content.text, c->text) != 0))
		fail_msg("%s: %s: '%s'", c->type, c->body, content.text != NULL ? content.text : "");
	map_content_free(&content);
}

static const struct text_case plain[] = {
	{ "text/plain", "Neither, fair saint.", OK, TEXT, "Neither, fair saint." },
	{ "text/plain; charset=UTF-8;msgr=WAAtAE0ATQBTAC0ASQBNAC0ARgA", "gr\xC3\xBC\xC3\x9F", OK, TEXT,
	  "gr\xC3\xBC\xC3\x9F" },
	{ "TEXT/Plain;charset=\"Utf-8\"", "\xF0\x9F\x98\x80", OK, TEXT, "\xF0\x9F\x98\x80" },
	{ "text/plain;charset=us-ascii", "hi", OK, TEXT, "hi" },
	{ "text/plain", "one\r\ntwo\nthree\r\n\r\n", OK, TEXT, "one\ntwo\nthree\n\n" },
	{ "text/plain", "a\rb\r\r\n\rc\r", OK, TEXT, "a\rb\n\rc\r" },
	{ "text/plain", " \t ", OK, TEXT, " \t " },
	{ "text/plain", "\xEF\xBB\xBFhi", OK, TEXT, "hi" },
	{ "text/plain", "\xEF\xBB\xBF\xEF\xBB\xBF", OK, EMPTY, NULL },
	{ "text/plain", "", OK, EMPTY, NULL },
	{ "text/unknown", "", OK, EMPTY, NULL },
	{ NULL, "", OK, EMPTY, NULL },
	/* other charsets */
	{ "text/plain;charset=ISO-8859-1", "gr\xFC\xDF\r\n\x80", OK, TEXT, "gr\xC3\xBC\xC3\x9F\n\xC2\x80" },
	{ "text/plain;charset=windows-1252", "\x80", OK, TEXT, "\xE2\x82\xAC" },
	{ "text/plain;charset=iso-8859-15", "\xA4", OK, TEXT, "\xE2\x82\xAC" },
	{ "text/plain;charset=koi8-r", "\xD0\xD2\xC9", OK, TEXT, "\xD0\xBF\xD1\x80\xD0\xB8" },
	{ "text/plain;charset=shift_jis", "\x93\xFA\xB1", OK, TEXT, "\xE6\x97\xA5\xEF\xBD\xB1" },
	{ "text/plain;charset=gb18030", "\xD6\xD0\x94\x39\xDA\x33", OK, TEXT,
	  "\xE4\xB8\xAD\xF0\x9F\x92\xA9" },
	{ "text/plain;charset=utf8", "\xC3\xBC", OK, TEXT, "\xC3\xBC" },
	/* of no charset, or none that we read: 415 */
	{ "text/plain;charset=utf-7", "hi", OK, UNSUPPORTED, NULL },
	{ "text/plain;charset=iso-2022-cn-ext", "hi", OK, UNSUPPORTED, NULL },
	{ "text/plain;charset=\"utf-8//IGNORE\"", "hi", OK, UNSUPPORTED, NULL },
	{ "text/plain;charset=\"../../tmp/x\"", "hi", OK, UNSUPPORTED, NULL },
	{ "text/plain;charset=x", "hi", OK, UNSUPPORTED, NULL },
	/* not of its charset: 400 */
	{ "text/plain", "gr\xFC\xDF", ERR_SYNTAX, 0, NULL },
	{ "text/plain;charset=us-ascii", "\xC3\xBC", ERR_SYNTAX, 0, NULL },
	{ "text/plain;charset=utf8", "\xFF", ERR_SYNTAX, 0, NULL },
	{ "text/plain", "half \xC3", ERR_SYNTAX, 0, NULL },
	{ "text/plain;charset=shift_jis", "\x93", ERR_SYNTAX, 0, NULL },
	{ "text/plain;charset=windows-1252", "\x81", ERR_SYNTAX, 0, NULL },
	{ "text/plain", "\xED\xA0\x80", ERR_SYNTAX, 0, NULL },
	/* not for XML */
	{ "text/plain",
	  "a\x01"
	  "b",
	  ERR_SYNTAX, 0, NULL },
	{ "text/plain;charset=iso-8859-1", "a\x1B[2J", ERR_SYNTAX, 0, NULL },
	{ "text/plain", "\xEF\xBF\xBE", ERR_SYNTAX, 0, NULL },
	/* other types: 415; no type that is one: 400 */
	{ "text/rtf; charset=UTF-8", "{\\rtf1 Hello\\par}", OK, UNSUPPORTED, NULL },
	{ "image/gif", "GIF89a", OK, UNSUPPORTED, NULL },
	{ "application/x-ms-ink", "x", OK, UNSUPPORTED, NULL },
	{ "text/x-msmsgsinvite; charset=UTF-8", "Invitation-Command: INVITE\r\n", OK, UNSUPPORTED, NULL },
	{ "text/plainer", "hi", OK, UNSUPPORTED, NULL },
	{ "multipart/mixed; boundary=b", "--b\r\n\r\nhi\r\n--b--", OK, UNSUPPORTED, NULL },
	{ "multipart/related; boundary=b", "--b\r\n\r\nhi\r\n--b--", OK, UNSUPPORTED, NULL },
	{ NULL, "hi", OK, UNSUPPORTED, NULL },
	{ "", "hi", OK, UNSUPPORTED, NULL },
	{ "plain", "hi", ERR_SYNTAX, 0, NULL },
	{ "text/plain; charset", "hi", ERR_SYNTAX, 0, NULL },
};

static const struct text_case with_nul[] = {
	{ "text/plain", "a\0b", ERR_SYNTAX, 0, NULL },
	{ "text/plain;charset=utf-16le", "h\0i\0", OK, TEXT, "hi" },
	{ "text/plain;charset=utf-16be", "\0h\0i", OK, TEXT, "hi" },
	{ "text/plain;charset=utf-16", "\xFF\xFEh\0", OK, TEXT, "h" },
	{ "text/plain;charset=utf-16le", "h\0\0\0", ERR_SYNTAX, 0, NULL },
	{ "text/plain;charset=utf-16le", "h\0\0\xD8", ERR_SYNTAX, 0, NULL },
	{ "text/html", "a\0b<p>", ERR_SYNTAX, 0, NULL },
};

static void test_plain(void **state)
{
	static const size_t sizes[] = { 3, 4, 4, 4, 4, 4, 6 };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		check(&plain[i], strlen(plain[i].body));
	for (size_t i = 0; i < ARRAY_SIZE(with_nul); i++)
		check(&with_nul[i], sizes[i]);
	/* more bytes in UTF-8 than before */
	for (size_t n = 1; n < 70; n++) {
		struct map_content content;
		char body[70];

		memset(body, '\xB1', sizeof(body));
		assert_int_equal(read_body("text/plain;charset=shift_jis", body, n, &content), OK);
		assert_int_equal(strlen(content.text), 3 * n);
		map_content_free(&content);
	}
}

/* As text/html; NULL: 415. */
static const struct {
	const char *html, *text;
} html[] = {
	{ "Hello", "Hello" },
	{ "<span style=\"font-family:Segoe UI;font-size:10pt\"><b>Wherefore</b> &lt;art&gt; &amp; "
	  "thou?</span>",
	  "Wherefore <art> & thou?" },
	{ "<DIV style=\"font-size:9pt\"><FONT face=\"MS Sans Serif\">one<BR>two</FONT></DIV>", "one\ntwo" },
	{ "<html>\r\n<head><title>Not this</title>\r\n<style>p { color: red }</style></head>\r\n<body>\r\n"
	  "  <p>one</p>\r\n  <p>two\r\n  words</p>\r\n</body>\r\n</html>\r\n",
	  "one\n\ntwo words" },
	{ "<div>a</div><div>b</div>", "a\nb" },
	{ "<div>a<br></div><div>b</div>", "a\nb" },
	{ "a<br/><br />\r\n<br>b", "a\n\n\nb" },
	{ "<br><p>a</p><br>", "a" },
	{ "<ul><li>a<li>b</ul>c", "a\nb\nc" },
	{ "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc" },
	{ "a <b> b </b> c", "a b c" },
	{ "a&nbsp;&nbsp; b", "a   b" },
	{ "<pre>a\r\n  b\r\n</pre>c", "a\n  b\nc" },
	{ "<pre>a</pre></pre>b  c", "a\nb c" },
	/* what is not shown */
	{ "a<script>if (a < b) alert('<p>')</script>b", "ab" },
	{ "a<SCRIPT type='x'>x</script >b", "ab" },
	{ "a<script>never ends", "a" },
	{ "a<!-- <p> -- > -->b<!---->c<!-->d", "abcd" },
	{ "<!DOCTYPE html><?xml version='1.0'?>a<![CDATA[x]]>", "a" },
	{ "<a href='x>y' title = \"a>b\">link</a>", "link" },
	{ "<a title=it's>link</a>", "link" },
	{ "<o:p>x</o:p></unknown>y", "xy" },
	{ "<brx>a<pb>b", "ab" },
	/* what is no markup is text */
	{ "1 < 2 && 3 > 2 <3", "1 < 2 && 3 > 2 <3" },
	{ "a <", "a <" },
	{ "a </", "a </" },
	{ "a <b", "a <b" },
	{ "a <b c=\"> d <p> &amp; e", "a <b c=\"> d <p> & e" },
	{ "a <!-- b", "a <!-- b" },
	{ "a <! b", "a <! b" },
	{ "</>", "</>" },
	/* references */
	{ "&#65;&#x42;&#X43;&#68 &#x45", "ABCD E" },
	{ "&auml;&Ouml;&szlig;&euro;&hellip;&yuml;&apos;&quot;", "\u00E4\u00D6\u00DF\u20AC\u2026\u00FF'\"" },
	{ "&#8364;&#128512;&#x1F600;&#128;&#146;", "\u20AC\U0001F600\U0001F600\u20AC\u2019" },
	{ "&amp;lt;", "&lt;" },
	{ "&#0;&#1;&#xD800;&#xFFFE;&#x110000;&#99999999999999999999;",
	  "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD" },
	{ "a&#10;&#13;&#9;&#32;b", "a b" },
	{ "&;&#;&#x;&#xg;&unknown;&amp &AMP;& &verylongnameofacharacter;",
	  "&;&#;&#x;&#xg;&unknown;&amp &AMP;& &verylongnameofacharacter;" },
	{ "&", "&" },
	{ "&#", "&#" },
	{ "&#x", "&#x" },
	{ "&am", "&am" },
	/* nothing */
	{ "<img src='cid:1'>", NULL },
	{ "<html><body> \r\n </body></html>", NULL },
	{ "<style>p{}</style>", NULL },
};

static void test_html(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(html); i++)
		check(&(struct text_case){ "text/html; charset=UTF-8", html[i].html, OK,
					   html[i].text != NULL ? TEXT : UNSUPPORTED, html[i].text },
		      strlen(html[i].html));
	check(&(struct text_case){ "text/html;charset=iso-8859-1", "<p>gr\xFC\xDF", OK, TEXT,
				   "gr\u00FC\u00DF" },
	      strlen("<p>gr\xFC\xDF"));
	check(&(struct text_case){ "text/html;charset=iso-8859-1", "<p>\x01", ERR_SYNTAX, 0, NULL },
	      strlen("<p>\x01"));
}

#define ALTERNATIVE "multipart/alternative; boundary=\"b1_e89b12d3\""
#define DELIMITER   "\r\n--b1_e89b12d3"
#define PLAIN       "\r\nContent-Type: text/plain; charset=UTF-8\r\n"
#define HTML        "\r\nContent-Type: text/html; charset=UTF-8\r\n"

static const struct text_case alternatives[] = {
	/* as Skype for Business sends it */
	{ ALTERNATIVE,
	  DELIMITER PLAIN "Content-Transfer-Encoding: 8bit\r\n\r\nWherefore <art> & thou?" DELIMITER HTML
			  "Content-Transfer-Encoding: 8bit\r\n\r\n<b>Wherefore</b> &lt;art&gt;" DELIMITER
			  "--\r\n",
	  OK, TEXT, "Wherefore <art> & thou?" },
	{ ALTERNATIVE, DELIMITER HTML "\r\n<b>html</b>" DELIMITER PLAIN "\r\nplain" DELIMITER "--", OK, TEXT,
	  "plain" },
	{ ALTERNATIVE, DELIMITER HTML "\r\n<b>html</b>" DELIMITER "--", OK, TEXT, "html" },
	{ ALTERNATIVE,
	  DELIMITER "\r\nContent-Type: text/rtf\r\n\r\n{}" DELIMITER HTML "\r\n<p>html" DELIMITER "--", OK,
	  TEXT, "html" },
	{ ALTERNATIVE, DELIMITER "\r\n\r\nno type" DELIMITER "--", OK, TEXT, "no type" },
	{ ALTERNATIVE, DELIMITER PLAIN "\r\none" DELIMITER PLAIN "\r\ntwo" DELIMITER "--", OK, TEXT, "one" },
	{ ALTERNATIVE, DELIMITER PLAIN "\r\none\r\ntwo\r\n" DELIMITER "--", OK, TEXT, "one\ntwo\n" },
	/* the plain text is empty, or in what we cannot read */
	{ ALTERNATIVE, DELIMITER PLAIN "\r\n" DELIMITER HTML "\r\n<p>html" DELIMITER "--", OK, TEXT, "html" },
	{ ALTERNATIVE,
	  DELIMITER "\r\nContent-Type: text/plain; charset=x\r\n\r\nhi" DELIMITER HTML "\r\n<p>html" DELIMITER
		    "--",
	  OK, TEXT, "html" },
	{ ALTERNATIVE,
	  DELIMITER PLAIN "Content-Transfer-Encoding: x\r\n\r\nhi" DELIMITER HTML "\r\n<p>html" DELIMITER
			  "--",
	  OK, TEXT, "html" },
	{ ALTERNATIVE, DELIMITER PLAIN "\r\n" DELIMITER "\r\nContent-Type: text/rtf\r\n\r\n{}" DELIMITER "--",
	  OK, UNSUPPORTED, NULL },
	{ ALTERNATIVE, DELIMITER "\r\nContent-Type: image/gif\r\n\r\nGIF89a" DELIMITER "--", OK, UNSUPPORTED,
	  NULL },
	{ ALTERNATIVE, DELIMITER "--", OK, UNSUPPORTED, NULL },
	/* encodings */
	{ ALTERNATIVE,
	  DELIMITER PLAIN "Content-Transfer-Encoding: base64\r\n\r\nZ3LDvMOf\r\nDQo=\r\n" DELIMITER "--", OK,
	  TEXT, "gr\u00FC\u00DF\n" },
	{ ALTERNATIVE,
	  DELIMITER PLAIN "Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BC=\r\n=C3=9F" DELIMITER
			  "--",
	  OK, TEXT, "gr\u00FC\u00DF" },
	{ ALTERNATIVE, DELIMITER PLAIN "Content-Transfer-Encoding: base64\r\n\r\nZg=" DELIMITER "--",
	  ERR_SYNTAX, 0, NULL },
	/* one in another */
	{ "multipart/alternative;boundary=a",
	  "--a\r\nContent-Type: multipart/alternative;boundary=aa\r\n\r\n--aa" HTML
	  "\r\n<p>html\r\n--aa" PLAIN "\r\nplain\r\n--aa--\r\n--a--",
	  OK, TEXT, "plain" },
	{ "multipart/alternative;boundary=a",
	  "--a\r\nContent-Type: multipart/related;boundary=aa\r\n\r\n--aa" HTML
	  "\r\n<p>html\r\n--aa--\r\n--a" PLAIN "\r\nplain\r\n--a--",
	  OK, TEXT, "plain" },
	/* wrong */
	{ ALTERNATIVE, DELIMITER PLAIN "\r\nnot UTF-8: \xFF" DELIMITER "--", ERR_SYNTAX, 0, NULL },
	{ ALTERNATIVE, DELIMITER PLAIN "\r\nescape \x1B" DELIMITER "--", ERR_SYNTAX, 0, NULL },
	{ ALTERNATIVE, DELIMITER PLAIN "\r\ncut off", ERR_SYNTAX, 0, NULL },
	{ ALTERNATIVE, "no parts", ERR_SYNTAX, 0, NULL },
	{ ALTERNATIVE, DELIMITER "\r\nno header\r\n\r\nhi" DELIMITER "--", ERR_SYNTAX, 0, NULL },
	{ "multipart/alternative", DELIMITER PLAIN "\r\nhi" DELIMITER "--", ERR_SYNTAX, 0, NULL },
};

static void test_alternatives(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(alternatives); i++)
		check(&alternatives[i], strlen(alternatives[i].body));
}

static void test_limits(void **state)
{
	static const char one_more[] = "--b\r\n\r\n";
	const size_t n = strlen(one_more);
	struct strbuf b = { .s = NULL };
	struct map_content content;
	(void)state;

	strbuf_puts(&b, one_more);
	for (int i = 1; i < MAP_CONTENT_PARTS; i++)
		strbuf_puts(&b, "--b\r\nContent-Type: x/y\r\n\r\n\r\n");
	strbuf_puts(&b, "--b\r\n\r\nlast\r\n--b--");
	assert_int_equal(map_content_read("multipart/alternative;boundary=b", b.s + n, b.len - n, &content),
			 OK);
	assert_string_equal(content.text, "last");
	map_content_free(&content);
	assert_int_equal(map_content_read("multipart/alternative;boundary=b", b.s, b.len, &content),
			 ERR_LIMIT);
	strbuf_free(&b);
}

/* depth multiparts around a text. */
static enum err read_nested(int depth, struct map_content *out)
{
	struct strbuf b = { .s = NULL };
	enum err e;

	for (int i = 1; i < depth; i++)
		strbuf_printf(&b, "--b%d\r\nContent-Type: multipart/alternative; boundary=b%d\r\n\r\n", i,
			      i + 1);
	strbuf_printf(&b, "--b%d\r\n\r\ninside\r\n", depth);
	for (int i = depth; i > 0; i--)
		strbuf_printf(&b, "--b%d--\r\n", i);
	e = map_content_read("multipart/alternative; boundary=b1", b.s, b.len, out);
	strbuf_free(&b);
	return e;
}

static void test_depth(void **state)
{
	struct map_content content;
	(void)state;

	assert_int_equal(read_nested(MAP_CONTENT_DEPTH, &content), OK);
	assert_int_equal(content.kind, TEXT);
	assert_string_equal(content.text, "inside");
	map_content_free(&content);
	assert_int_equal(read_nested(MAP_CONTENT_DEPTH + 1, &content), OK);
	assert_int_equal(content.kind, UNSUPPORTED);
	assert_int_equal(read_nested(1000, &content), OK);
	assert_int_equal(content.kind, UNSUPPORTED);
}

static const struct {
	const char *type, *body;
	enum err expected;
	enum map_content_kind kind;
	bool composing;
	unsigned refresh;
} typing[] = {
	{ "application/im-iscomposing+xml",
	  "<?xml version='1.0' encoding='UTF-8'?>\n<isComposing "
	  "xmlns='urn:ietf:params:xml:ns:im-iscomposing'>\n"
	  "  <state>active</state>\n  <contenttype>text/plain</contenttype>\n  <refresh>60</refresh>\n"
	  "</isComposing>",
	  OK, MAP_CONTENT_TYPING, true, 60 },
	{ "application/im-iscomposing+xml; charset=UTF-8",
	  "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>idle</state></isComposing>", OK,
	  MAP_CONTENT_TYPING, false, 120 },
	{ "application/xml",
	  "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"type\" /></KeyboardActivity>", OK,
	  MAP_CONTENT_TYPING, true, 120 },
	{ "application/xml",
	  "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"idle\" /></KeyboardActivity>", OK,
	  MAP_CONTENT_TYPING, false, 120 },
	{ "application/xml", "<action/>", OK, UNSUPPORTED, false, 0 },
	{ "application/im-iscomposing+xml", "<other/>", OK, UNSUPPORTED, false, 0 },
	{ "application/xml", "type", ERR_SYNTAX, UNSUPPORTED, false, 0 },
	{ "application/im-iscomposing+xml", "<isComposing", ERR_SYNTAX, UNSUPPORTED, false, 0 },
};

static void test_typing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(typing); i++) {
		struct map_content c;
		enum err e = read_body(typing[i].type, typing[i].body, strlen(typing[i].body), &c);

		if (e != typing[i].expected)
			fail_msg("%s: %s", typing[i].body, err_text(e));
		if (e == OK && (c.kind != typing[i].kind || c.composing != typing[i].composing ||
				c.refresh != typing[i].refresh))
			fail_msg("%s: kind %d, refresh %u", typing[i].body, (int)c.kind, c.refresh);
	}
}

#define IMDN(inner) "<imdn xmlns='urn:ietf:params:xml:ns:imdn'>" inner "</imdn>"
#define ID          "<message-id>34jk324j</message-id>"
#define DELIVERY(s) "<delivery-notification><status>" s "</status></delivery-notification>"
#define MS_IMDN(inner)                                                                                       \
	"<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<imdn "                                               \
	"xmlns=\"http://schemas.microsoft.com/rtc/2005/08/imdn\"><message-id>2</message-id>" inner "</imdn>"
#define RECIPIENT(s)                                                                                         \
	"<recipient uri=\"&lt;sip:juliet@example.com&gt;\"><status>" s                                       \
	"</status><entry><key>ms-diagnostics</key><value>6001;reason=\"x\"</value></entry></recipient>"

static const struct {
	const char *type, *body;
	enum err expected;
	enum map_content_kind kind;
	enum imdn_status status;
	const char *id;
} imdn[] = {
	{ "message/imdn+xml", IMDN(ID DELIVERY("<delivered/>")), OK, MAP_CONTENT_IMDN, IMDN_DELIVERED,
	  "34jk324j" },
	{ "message/imdn+xml",
	  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\r\n"
	  "  <message-id> 34jk324j\r\n</message-id>\r\n  <datetime>2008-04-04T12:16:49-05:00</datetime>\r\n"
	  "  <recipient-uri>im:bob@example.com</recipient-uri>\r\n  <display-notification>\r\n    "
	  "<status>\r\n"
	  "      <displayed/>\r\n    </status>\r\n  </display-notification>\r\n</imdn>\r\n",
	  OK, MAP_CONTENT_IMDN, IMDN_DISPLAYED, "34jk324j" },
	{ "message/imdn+xml", IMDN(ID DELIVERY("<failed/>")), OK, MAP_CONTENT_IMDN, IMDN_FAILED, "34jk324j" },
	/* no word on delivery */
	{ "message/imdn+xml", IMDN(ID DELIVERY("<forbidden/>")), OK, MAP_CONTENT_IMDN, IMDN_OTHER,
	  "34jk324j" },
	{ "message/imdn+xml", IMDN(ID DELIVERY("<error/>")), OK, MAP_CONTENT_IMDN, IMDN_OTHER, "34jk324j" },
	{ "message/imdn+xml",
	  IMDN(ID "<processing-notification><status><stored/></status></processing-notification>"), OK,
	  MAP_CONTENT_IMDN, IMDN_OTHER, "34jk324j" },
	{ "message/imdn+xml",
	  IMDN(ID "<display-notification><status><delivered/></status></display-notification>"), OK,
	  MAP_CONTENT_IMDN, IMDN_OTHER, "34jk324j" },
	{ "message/imdn+xml", IMDN(ID DELIVERY("<delivered xmlns='urn:x'/>")), OK, MAP_CONTENT_IMDN,
	  IMDN_OTHER, "34jk324j" },
	{ "message/imdn+xml", IMDN(ID), OK, MAP_CONTENT_IMDN, IMDN_OTHER, "34jk324j" },
	{ "message/imdn+xml", IMDN(DELIVERY("<delivered/>")), ERR_SYNTAX, 0, 0, NULL },
	{ "message/imdn+xml", IMDN("<message-id> </message-id>"), ERR_SYNTAX, 0, 0, NULL },
	{ "message/imdn+xml", "<imdn>" ID "</imdn>", OK, UNSUPPORTED, 0, NULL },
	{ "message/imdn+xml", "imdn", ERR_SYNTAX, 0, 0, NULL },
	/* Microsoft's: a SIP status for each recipient */
	{ "application/ms-imdn+xml", MS_IMDN(RECIPIENT("408")), OK, MAP_CONTENT_IMDN, IMDN_FAILED, "2" },
	{ "application/ms-imdn+xml", MS_IMDN(RECIPIENT("200")), OK, MAP_CONTENT_IMDN, IMDN_DELIVERED, "2" },
	{ "application/ms-imdn+xml", MS_IMDN(RECIPIENT(" 202 ")), OK, MAP_CONTENT_IMDN, IMDN_DELIVERED, "2" },
	{ "application/ms-imdn+xml", MS_IMDN(RECIPIENT("200") RECIPIENT("480")), OK, MAP_CONTENT_IMDN,
	  IMDN_FAILED, "2" },
	{ "application/ms-imdn+xml", MS_IMDN(RECIPIENT("480") RECIPIENT("200")), OK, MAP_CONTENT_IMDN,
	  IMDN_FAILED, "2" },
	{ "application/ms-imdn+xml", MS_IMDN(RECIPIENT("200") RECIPIENT("x")), OK, MAP_CONTENT_IMDN,
	  IMDN_OTHER, "2" },
	{ "application/ms-imdn+xml", MS_IMDN(RECIPIENT("180")), OK, MAP_CONTENT_IMDN, IMDN_OTHER, "2" },
	{ "application/ms-imdn+xml", MS_IMDN(RECIPIENT("2000")), OK, MAP_CONTENT_IMDN, IMDN_OTHER, "2" },
	{ "application/ms-imdn+xml", MS_IMDN(RECIPIENT("200 x")), OK, MAP_CONTENT_IMDN, IMDN_OTHER, "2" },
	{ "application/ms-imdn+xml", MS_IMDN(""), OK, MAP_CONTENT_IMDN, IMDN_OTHER, "2" },
	{ "application/ms-imdn+xml", IMDN(ID), OK, UNSUPPORTED, 0, NULL },
};

static void test_imdn(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(imdn); i++) {
		struct map_content c;
		enum err e = read_body(imdn[i].type, imdn[i].body, strlen(imdn[i].body), &c);

		if (e != imdn[i].expected)
			fail_msg("%s: %s", imdn[i].body, err_text(e));
		if (e != OK)
			continue;
		if (c.kind != imdn[i].kind || c.status != imdn[i].status)
			fail_msg("%s: kind %d, status %d", imdn[i].body, (int)c.kind, (int)c.status);
		if (imdn[i].id == NULL)
			assert_null(c.message_id);
		else
			assert_string_equal(c.message_id, imdn[i].id);
		map_content_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),        cmocka_unit_test(test_html),
		cmocka_unit_test(test_alternatives), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_depth),        cmocka_unit_test(test_typing),
		cmocka_unit_test(test_imdn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
