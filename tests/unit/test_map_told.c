/*
 * Tests of map_told.h: the ledger's text of what was told, and back; whatever
 * somebody has written there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map_told.h"
#include "db/ledger.h"

static const struct {
	const char *text, *again; /* again: as it is written after reading; NULL: the same */
} cases[] = {
	{ "", NULL },
	{ "[{\"resource\":\"desk\"}]", NULL },
	{ "[{}]", NULL }, /* of the bare address */
	{ "[{\"resource\":\"desk\",\"gone\":true}]", NULL },
	{ "[{\"resource\":\"d\",\"show\":\"xa\",\"status\":\"a "
	  "\\\"note\\\"\",\"lang\":\"de\",\"priority\":-5},{\"resource\":\"e\"}]",
	  NULL },
	/* what is no such text */
	{ "nonsense", "" },
	{ "{}", "" },
	{ "[1, null, \"desk\", []]", "" },
	{ "[{\"resource\":\"\"}]", "" },
	{ "[{\"resource\":\"a\\u0000b\"}]", "" },
	{ "[{\"resource\":7,\"show\":\"nowhere\",\"priority\":1000,\"status\":[],\"gone\":1}]", "" },
	{ "[{\"show\":\"nowhere\",\"priority\":1000,\"status\":[],\"gone\":1}]", "[{}]" },
	{ "[{\"resource\":\"desk\"},{\"resource\":\"desk\",\"show\":\"away\"}]",
	  "[{\"resource\":\"desk\",\"show\":\"away\"}]" },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *expected = cases[i].again != NULL ? cases[i].again : cases[i].text;
		struct presence_list list = { .count = 0 };
		char *text;

		told_read(cases[i].text, &list);
		text = told_write(&list);
		if (strcmp(text, expected) != 0)
			fail_msg("%s: '%s' instead of '%s'", cases[i].text, text, expected);
		free(text);
		presence_list_clear(&list);
	}
}

/* As many resources as there may be, with notes that need the most room: it always fits. */
static void test_bounds(void **state)
{
	char resource[16], status[PRESENCE_STATUS_MAX + 1];
	struct presence_list list = { .count = 0 }, again = { .count = 0 };
	char *text;
	(void)state;

	memset(status, '\n', PRESENCE_STATUS_MAX);
	status[PRESENCE_STATUS_MAX] = '\0';
	for (int i = 0; i < PRESENCE_RESOURCES; i++) {
		const struct presence p = { .available = true, .resource = resource, .status = status };

		snprintf(resource, sizeof(resource), "r%d", i);
		assert_int_equal(presence_list_put(&list, &p), OK);
	}
	text = told_write(&list);
	assert_true(strlen(text) <= LEDGER_TOLD_MAX);
	told_read(text, &again);
	assert_int_equal(again.count, PRESENCE_RESOURCES);
	free(text);
	presence_list_clear(&list);
	presence_list_clear(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
