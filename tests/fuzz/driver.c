/* Runs a fuzz target over its corpus without a fuzzer: every seed and every crash found once is a plain test for good. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* A target may have it, as in libFuzzer. */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

/** Give the target one file, in a heap block of exactly its size, so that a sanitizer sees the first byte past it.
 *  @return 0, -errno */
static int feed(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	long size;
	int err = 0;

	if (!f)
		return -errno;
	if (fseek(f, 0, SEEK_END) < 0 || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) < 0) {
		err = -errno;
		goto out;
	}
	data = malloc(size > 0 ? (size_t)size : 1);
	if (!data) {
		err = -ENOMEM;
		goto out;
	}
	if (fread(data, 1, (size_t)size, f) != (size_t)size) {
		err = -EIO;
		goto out;
	}
	LLVMFuzzerTestOneInput(data, (size_t)size);
out:
	free(data);
	fclose(f);
	return err;
}

/** Give the target every file of a folder, in no particular order. @return how many, -errno */
static int feed_folder(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	char path[4096];
	int n = 0;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		int err;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		err = feed(path);
		if (err < 0) {
			fprintf(stderr, "%s: %s\n", path, strerror(-err));
			n = err;
			break;
		}
		n++;
	}
	closedir(d);
	return n;
}

int main(int argc, char **argv)
{
	static const uint8_t nothing[1];
	int n;

	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	if (argc < 2) {
		fprintf(stderr, "usage: %s FOLDER...\n", argv[0]);
		return 2;
	}
	LLVMFuzzerTestOneInput(nothing, 0);
	for (int i = 1; i < argc; i++) {
		n = feed_folder(argv[i]);
		if (n < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-n));
			return 1;
		}
		if (n == 0) {
			fprintf(stderr, "%s: no seeds: a corpus must not be empty\n", argv[i]);
			return 1;
		}
		printf("%s: %d inputs\n", argv[i], n);
	}
	return 0;
}
