/*
 * map_mime_encoding.c - base64 (RFC 4648) and quoted-printable (RFC 2045
 * section 6).
 *
 * Strict: what another reader could take for something else is refused.
 * OpenSSL's EVP_DecodeBlock() is not: it skips blanks, counts padding as bytes
 * and lets bits be left over. Decoding never makes more bytes than it is given.
 * Pure; nothing but memory is fatal.
 */
#include "bridge/gateway/map_mime.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* -1: none of the alphabet. */
static int base64_value(char c)
{
	const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

	return at != NULL ? (int)(at - alphabet) : -1;
}

/* Four letters, one to three bytes; the second and third may be padding where it is the last group. */
static bool decode_group(const char g[4], bool last, struct strbuf *out)
{
	size_t padding = last ? (size_t)(g[3] == '=') + (g[3] == '=' && g[2] == '=') : 0;
	uint32_t bits = 0;
	char bytes[3];

	for (size_t i = 0; i < 4; i++) {
		int value = i < 4 - padding ? base64_value(g[i]) : 0;

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
	}
	if ((padding == 1 && (bits & 0xFF) != 0) || (padding == 2 && (bits & 0xFFFF) != 0))
		return false;
	bytes[0] = (char)(bits >> 16);
	bytes[1] = (char)(bits >> 8 & 0xFF);
	bytes[2] = (char)(bits & 0xFF);
	strbuf_add(out, bytes, 3 - padding);
	return true;
}

enum err mime_base64_decode(struct mime_span text, struct strbuf *out)
{
	struct strbuf decoded = { .s = NULL };
	enum err e = text.n % 4 == 0 ? OK : ERR_SYNTAX;

	for (size_t i = 0; i < text.n && e == OK; i += 4)
		if (!decode_group(text.s + i, i + 4 == text.n, &decoded))
			e = ERR_SYNTAX;
	if (e == OK && decoded.len > 0)
		strbuf_add(out, decoded.s, decoded.len);
	strbuf_free(&decoded);
	return e;
}

void mime_base64_encode(struct mime_span bytes, struct strbuf *out)
{
	for (size_t i = 0; i < bytes.n; i += 3) {
		size_t left = bytes.n - i;
		uint32_t bits = (uint32_t)(unsigned char)bytes.s[i] << 16;

		if (left > 1)
			bits |= (uint32_t)(unsigned char)bytes.s[i + 1] << 8;
		if (left > 2)
			bits |= (unsigned char)bytes.s[i + 2];
		strbuf_putc(out, alphabet[bits >> 18]);
		strbuf_putc(out, alphabet[bits >> 12 & 63]);
		strbuf_putc(out, left > 1 ? alphabet[bits >> 6 & 63] : '=');
		strbuf_putc(out, left > 2 ? alphabet[bits & 63] : '=');
	}
}

/* Base64 in lines (RFC 2045 section 6.8). */
static enum err decode_base64_lines(struct mime_span bytes, struct strbuf *out)
{
	struct strbuf joined = { .s = NULL };
	struct mime_span line;
	enum err e;

	while (mime_line_next(&bytes, &line)) {
		line = mime_trim(line);
		strbuf_add(&joined, line.s, line.n);
	}
	e = mime_base64_decode((struct mime_span){ joined.s, joined.len }, out);
	strbuf_free(&joined);
	return e;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One line of quoted-printable; *soft: it goes on in the next one (RFC 2045 section 6.7). */
static bool decode_quoted_line(struct mime_span line, struct strbuf *out, bool *soft)
{
	/* Blanks at the end of a line were added on the way. */
	while (line.n > 0 && (line.s[line.n - 1] == ' ' || line.s[line.n - 1] == '\t'))
		line.n--;
	*soft = line.n > 0 && line.s[line.n - 1] == '=';
	if (*soft)
		line.n--;
	for (size_t i = 0; i < line.n; i++) {
		int high, low;

		if (line.s[i] != '=') {
			strbuf_putc(out, line.s[i]);
			continue;
		}
		if (line.n - i < 3)
			return false;
		high = hex_value(line.s[i + 1]);
		low = hex_value(line.s[i + 2]);
		if (high < 0 || low < 0)
			return false;
		strbuf_putc(out, (char)(high << 4 | low));
		i += 2;
	}
	return true;
}

static enum err decode_quoted_printable(struct mime_span bytes, struct strbuf *out)
{
	struct strbuf decoded = { .s = NULL };
	struct mime_span line;
	enum err e = OK;
	bool soft = false;

	while (e == OK && mime_line_next(&bytes, &line)) {
		bool ended = line.s + line.n < bytes.s;

		if (!decode_quoted_line(line, &decoded, &soft))
			e = ERR_SYNTAX;
		if (ended && !soft)
			strbuf_puts(&decoded, "\r\n");
	}
	if (e == OK && decoded.len > 0)
		strbuf_add(out, decoded.s, decoded.len);
	strbuf_free(&decoded);
	return e;
}

enum err mime_decode(enum mime_encoding encoding, struct mime_span bytes, struct strbuf *out)
{
	switch (encoding) {
	case MIME_IDENTITY:
		strbuf_add(out, bytes.s, bytes.n);
		return OK;
	case MIME_BASE64:
		return decode_base64_lines(bytes, out);
	case MIME_QUOTED_PRINTABLE:
		return decode_quoted_printable(bytes, out);
	default:
		return ERR_NOT_FOUND;
	}
}
