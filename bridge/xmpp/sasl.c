/*
 * sasl.c - the one value that SASL EXTERNAL exchanges: for whom the peer wants
 * to act, in base64.
 *
 * It must be the domain of the stream's 'from', since that is what the
 * certificate was checked for; a server that wants to act for another opens
 * another stream.
 */
#include "bridge/xmpp/sasl.h"

#include <string.h>

#include <openssl/evp.h>

void sasl_encode_authzid(const char *domain, char out[SASL_AUTHZID_SIZE])
{
	EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)domain, (int)strlen(domain));
}

/* Strict: canonical length and alphabet; OpenSSL alone would skip blanks and count padding as bytes. */
static enum err decode(const char *text, char *out, size_t size)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char bytes[SASL_AUTHZID_SIZE];
	size_t n = strlen(text), plain = strspn(text, alphabet), padding = n - plain;
	int decoded;

	if (n == 0 || n % 4 != 0 || n >= SASL_AUTHZID_SIZE || padding > 2 ||
	    strspn(text + plain, "=") != padding)
		return ERR_SYNTAX;
	decoded = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n);
	if (decoded < 0 || (size_t)decoded - padding >= size)
		return ERR_SYNTAX;
	memcpy(out, bytes, (size_t)decoded - padding);
	out[(size_t)decoded - padding] = '\0';
	return strlen(out) == (size_t)decoded - padding ? OK : ERR_SYNTAX;
}

enum err sasl_check_authzid(const char *text, const char *fallback)
{
	char named[JID_DOMAIN_MAX + 1], domain[JID_DOMAIN_MAX + 1];
	enum err e;

	if (!text[0] || strcmp(text, "=") == 0)
		return fallback[0] ? OK : ERR_REFUSED;
	e = decode(text, named, sizeof(named));
	if (e != OK)
		return e;
	if (jid_domain(named, domain) != OK || strcmp(domain, fallback) != 0)
		return ERR_REFUSED;
	return OK;
}
