/*
 * replay.c - the main() of a fuzz target in 'make check': every file of its
 * corpus, once. The corpus of fuzz_NAME is tests/fuzz/corpus/NAME/; files given
 * as arguments are used in its place.
 */
#include <dirent.h>
#include <string.h>

#include "bridge/core/base.h"
#include "tests/fuzz/fuzz.h"

static void replay(const char *file)
{
	struct strbuf input = { 0 };
	FILE *f = fopen(file, "rb");
	char block[4096];
	uint8_t *exact; /* so that the sanitizer sees a read beyond */
	size_t n;

	if (f == NULL) {
		perror(file);
		exit(EXIT_FAILURE);
	}
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		strbuf_add(&input, block, n);
	fclose(f);
	printf("# %s\n", file);
	fflush(stdout);
	exact = xmalloc(input.len);
	if (input.len > 0)
		memcpy(exact, input.s, input.len);
	LLVMFuzzerTestOneInput(exact, input.len);
	free(exact);
	strbuf_free(&input);
}

static int replay_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int count = 0;

	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL) {
		char *file;

		if (entry->d_name[0] == '.')
			continue;
		file = xasprintf("%s/%s", folder, entry->d_name);
		replay(file);
		free(file);
		count++;
	}
	closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	const char *source = getenv("top_srcdir"), *name = strstr(argv[0], "fuzz_");
	int count = argc - 1;

	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc == 1 && name != NULL) {
		char *folder = xasprintf("%s/tests/fuzz/corpus/%s", source != NULL ? source : ".",
					 name + strlen("fuzz_"));

		count = replay_folder(folder);
		free(folder);
	}
	/* An empty corpus is a mistake. */
	printf("1..1\n%sok 1 - %d inputs\n", count > 0 ? "" : "not ", count);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
