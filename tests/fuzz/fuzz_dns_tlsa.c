/*
 * TLSA record data, one record or several (each behind its length, two bytes):
 * what is accepted is all there, a copy says the same and stands alone, and a
 * TLS session takes it or leaves it.
 */
#include "bridge/xmpp/dns_parse.h"

#include <string.h>

#include <openssl/err.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/tls_internal.h"
#include "tests/fuzz/fuzz.h"

enum { RECORDS_MAX = 4 };

static const struct tls *tls_once(void)
{
	static const struct tls_settings settings = {
		.certificate = "", .key = "", .certificates = "", .ca = ""
	};
	static struct tls *tls;
	const char *why;

	log_set_level(LOG_ERROR);
	if (tls == NULL)
		CHECK(tls_create(&settings, &tls, &why) == OK);
	return tls;
}

static void check(const uint8_t *data, size_t size, const struct dns_tlsa *r)
{
	CHECK(size == 3 + r->size && r->size > 0 && r->data == data + 3);
	CHECK(r->usage == data[0] && r->selector == data[1] && r->matching == data[2]);
}

static void use(const struct dns_tlsa *records, size_t count)
{
	struct dns_tlsa *copy = dns_tlsa_copy(records, count);
	const struct tls_peer peer = {
		.remote = "partner.test", .tlsa = copy, .tlsa_count = count, .tlsa_base = "xmpp.partner.test"
	};

	for (size_t i = 0; i < count; i++) {
		CHECK(copy[i].usage == records[i].usage && copy[i].selector == records[i].selector);
		CHECK(copy[i].matching == records[i].matching && copy[i].size == records[i].size);
		CHECK(copy[i].data != records[i].data);
		CHECK(memcmp(copy[i].data, records[i].data, records[i].size) == 0);
	}
	SSL_free(tls_session(tls_once(), &peer));
	CHECK(ERR_peek_error() == 0);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_tlsa records[RECORDS_MAX];
	size_t count = 0;

	if (tlsa_parse(data, size, &records[0]) == OK) {
		check(data, size, &records[0]);
		use(records, 1);
	}
	while (size >= 2 && count < RECORDS_MAX) {
		const size_t n = (size_t)data[0] << 8 | data[1];

		if (n > size - 2)
			break;
		if (tlsa_parse(data + 2, n, &records[count]) == OK)
			check(data + 2, n, &records[count++]);
		data += 2 + n;
		size -= 2 + n;
	}
	use(records, count);
	return 0;
}
