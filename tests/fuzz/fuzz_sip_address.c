/*
 * SIP URIs and header text: what is accepted is written so that it is read as
 * the same again, and nothing that is written can end its field.
 */
#include "bridge/sip/address.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static const char uri_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				"-_.!~*'()&=+$,;?/[]:@%";

static bool holds_controls(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7F)
			return true;
	return false;
}

static void check_uri(const char *text)
{
	struct sip_address a, again;
	char uri[SIP_URI_SIZE];

	if (sip_address_parse(text, &a) != OK)
		return;
	CHECK(!holds_controls(a.user) && !holds_controls(a.gr) && a.host[0] != '\0');
	CHECK(sip_address_format(&a, uri) == OK);
	CHECK(strspn(uri, uri_chars) == strlen(uri));
	CHECK(sip_address_parse(uri, &again) == OK);
	CHECK(strcmp(a.user, again.user) == 0 && strcmp(a.host, again.host) == 0);
	CHECK(strcmp(a.gr, again.gr) == 0 && a.port == again.port && a.secure == again.secure);
}

/* The quoted form ends at its last character and nowhere before. */
static void check_quoted(const char *text, size_t size)
{
	char *quoted = malloc(2 * size + 3);
	size_t i = 1;

	CHECK(quoted != NULL);
	if (sip_quoted_text(text, quoted, 2 * size + 3) == OK) {
		CHECK(quoted[0] == '"' && !holds_controls(quoted));
		for (; quoted[i] != '"'; i++) {
			i += quoted[i] == '\\';
			CHECK(quoted[i] == *text++);
		}
		CHECK(*text == '\0' && quoted[i + 1] == '\0');
	}
	free(quoted);
}

static void check_header(const char *text, size_t size)
{
	char *value = malloc(size + 1);

	CHECK(value != NULL);
	if (sip_header_text(text, value, size + 1) == OK)
		CHECK(!holds_controls(value) && strcmp(value, text) == 0);
	free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	CHECK(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	check_uri(text);
	check_quoted(text, size);
	check_header(text, size);
	free(text);
	return 0;
}
