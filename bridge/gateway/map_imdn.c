/*
 * map_imdn.c - disposition notifications (RFC 5438), and the form that
 * Microsoft's conferencing servers send.
 *
 * They are evidence for the receipts that an XMPP user asked for, so nothing
 * counts as delivery that does not say so. Pure; the caller owns what is made.
 * Nothing but memory is fatal.
 */
#include "bridge/gateway/map_content_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/xmpp/jid.h"
#include "bridge/xmpp/xml.h"
#include "bridge/xmpp/xmltree.h"

#define NS_IMDN    "urn:ietf:params:xml:ns:imdn"
#define NS_MS_IMDN "http://schemas.microsoft.com/rtc/2005/08/imdn"

#define BLANK " \t\r\n"

/* Whose status, and which one. */
static const struct {
	const char *notification, *name;
	enum imdn_status status;
} statuses[] = {
	{ "delivery-notification", "delivered", IMDN_DELIVERED },
	{ "delivery-notification", "failed", IMDN_FAILED },
	{ "display-notification", "displayed", IMDN_DISPLAYED },
};

/* --- reading --- */

/* The content of message-id; NULL: there is none. The caller frees it. */
static char *read_id(const struct xmlnode *root)
{
	const struct xmlnode *node = xmlnode_child(root, root->ns, "message-id");
	const char *text = node != NULL ? node->text : "";
	size_t n;

	text += strspn(text, BLANK);
	for (n = strlen(text); n > 0 && strchr(BLANK, text[n - 1]) != NULL; n--)
		;
	return n > 0 ? xstrndup(text, n) : NULL;
}

static enum imdn_status status_of(const struct xmlnode *root)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		const struct xmlnode *status = xmlnode_child(
			xmlnode_child(root, NS_IMDN, statuses[i].notification), NS_IMDN, "status");

		if (xmlnode_child(status, NS_IMDN, statuses[i].name) != NULL)
			return statuses[i].status;
	}
	return IMDN_OTHER;
}

/* A SIP status for each recipient: delivered is what was delivered to all. */
static enum imdn_status ms_status_of(const struct xmlnode *root)
{
	const struct xmlnode *recipient = xmlnode_child(root, NS_MS_IMDN, "recipient");
	enum imdn_status result = recipient != NULL ? IMDN_DELIVERED : IMDN_OTHER;

	for (; recipient != NULL; recipient = xmlnode_next(recipient, NS_MS_IMDN, "recipient")) {
		const struct xmlnode *status = xmlnode_child(recipient, NS_MS_IMDN, "status");
		const char *text = status != NULL ? status->text + strspn(status->text, BLANK) : "";
		size_t digits = strspn(text, "0123456789");

		if (digits != 3 || text[3 + strspn(text + 3, BLANK)] != '\0' || text[0] < '2')
			result = result == IMDN_DELIVERED ? IMDN_OTHER : result;
		else if (text[0] != '2')
			result = IMDN_FAILED;
	}
	return result;
}

static enum err read_document(struct mime_span body, const char *ns,
			      enum imdn_status (*read_status)(const struct xmlnode *),
			      enum imdn_status *status, char **message_id)
{
	const struct xmlnode *root;
	struct xmltree *tree;
	enum err e = xmltree_parse(body.s, body.n, NULL, &tree);
	char *id;

	if (e != OK)
		return e;
	root = xmltree_root(tree);
	if (!xmlnode_is(root, ns, "imdn")) {
		e = ERR_NOT_FOUND;
		goto done;
	}
	id = read_id(root);
	if (id == NULL) {
		e = ERR_SYNTAX;
		goto done;
	}
	*status = read_status(root);
	*message_id = id;
done:
	xmltree_free(tree);
	return e;
}

enum err map_imdn_read(struct mime_span body, enum imdn_status *status, char **message_id)
{
	return read_document(body, NS_IMDN, status_of, status, message_id);
}

enum err map_ms_imdn_read(struct mime_span body, enum imdn_status *status, char **message_id)
{
	return read_document(body, NS_MS_IMDN, ms_status_of, status, message_id);
}

/* --- writing --- */

/* A value that stands in a header line, and in XML. */
static bool is_clean(const char *value)
{
	size_t n = value != NULL ? strlen(value) : 0;

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)value[i] <= ' ' || value[i] == 0x7F)
			return false;
	return n > 0 && utf8_is_xml(value, n);
}

static void put_element(struct strbuf *b, const char *name, const char *value)
{
	if (value == NULL)
		return;
	strbuf_printf(b, "<%s>", name);
	xml_text(b, value, strlen(value));
	strbuf_printf(b, "</%s>", name);
}

enum err map_imdn_write(const struct map_cpim *asked, enum imdn_status status, const char *id, char **out)
{
	struct strbuf b = { .s = NULL };
	size_t i = 0;

	while (i < ARRAY_SIZE(statuses) && statuses[i].status != status)
		i++;
	if (i == ARRAY_SIZE(statuses) || !is_clean(asked->message_id) || !is_clean(asked->from_uri) ||
	    !is_clean(asked->to_uri) || (asked->date_time != NULL && !is_clean(asked->date_time)) ||
	    !is_clean(id))
		return ERR_SYNTAX;
	strbuf_printf(&b,
		      "From: <%s>\r\nTo: <%s>\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: %s\r\n"
		      "\r\nContent-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n"
		      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<imdn xmlns=\"" NS_IMDN "\">",
		      asked->to_uri, asked->from_uri, id);
	put_element(&b, "message-id", asked->message_id);
	put_element(&b, "datetime", asked->date_time);
	put_element(&b, "recipient-uri", asked->to_uri);
	put_element(&b, "original-recipient-uri", asked->to_uri);
	strbuf_printf(&b, "<%s><status><%s/></status></%s></imdn>", statuses[i].notification,
		      statuses[i].name, statuses[i].notification);
	*out = strbuf_take(&b);
	return OK;
}
