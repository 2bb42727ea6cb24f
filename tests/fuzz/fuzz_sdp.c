/*
 * Session descriptions: to whatever is taken for an offer there is an answer,
 * which is taken too, names each media once in the offer's order and holds no
 * line more.
 */
#include "bridge/gateway/map_sdp.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

#define URI "sip:juliet@example.com"

static size_t count_lines(const char *s)
{
	size_t n = 0;

	for (; (s = strchr(s, '\n')) != NULL; s++)
		n++;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf answer = { .s = NULL };
	struct map_sdp *offer, *again;

	if (map_sdp_read((const char *)data, size, &offer) != OK)
		return 0;
	CHECK(offer->count <= MAP_SDP_MEDIA && offer->chosen < offer->count);
	CHECK(offer->accepts & MAP_SDP_PLAIN);
	map_sdp_write_answer(&answer, offer, "[2001:db8::1]", URI);
	CHECK(count_lines(answer.s) == 5 + offer->count + 1);
	CHECK(map_sdp_read(answer.s, answer.len, &again) == OK);
	CHECK(again->count == offer->count && again->chosen == offer->chosen);
	for (size_t i = 0; i < offer->count; i++) {
		const struct map_sdp_media *a = &offer->media[i], *b = &again->media[i];

		CHECK(strcmp(a->media, b->media) == 0);
		CHECK((b->port != 0) == (i == offer->chosen));
		if (i == offer->chosen)
			CHECK(strcmp(b->formats, URI) == 0);
		else
			CHECK(strcmp(a->transport, b->transport) == 0 && strcmp(a->formats, b->formats) == 0);
	}
	map_sdp_free(again);
	map_sdp_free(offer);
	strbuf_free(&answer);
	return 0;
}
