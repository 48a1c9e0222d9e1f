/* A token as it is; and, if the input has a line feed, the JSON before it as header and behind it as claims
 * of a token with a good signature. */
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "secure/jose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static EVP_PKEY *key;
static struct mu_keyring *ring;

static void setup(void)
{
	char path[64];
	int fd = memfd_create("key", 0);
	FILE *f = fdopen(dup(fd), "w");

	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (!key || !f || !PEM_write_PUBKEY(f, key) || fclose(f))
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (mu_keyring_new(&ring) || mu_keyring_add_file(ring, path, NULL))
		abort();
}

static void verify(const char *jwt, bool ours)
{
	struct mu_token t;
	char text[128];

	if (mu_token_verify(ring, jwt, 1800000000, &t, NULL))
		return;
	if (!ours || !t.id[0] || !t.subject[0] || !t.scopes)
		__builtin_trap();
	if (t.rank > MU_TOKEN_RANK_MAX || !*mu_token_role_name(t.role))
		__builtin_trap();
	mu_token_covers(&t, "camera-1");
	mu_token_covers_conference(&t, "morning");
	mu_scope_text(t.scopes, text, sizeof(text));
}

static void sign(const uint8_t *header, size_t header_len, const uint8_t *claims, size_t claims_len)
{
	char jwt[8192];
	uint8_t sig[64];
	size_t n = mu_base64url(header, header_len, jwt), sig_len = sizeof(sig);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	jwt[n++] = '.';
	n += mu_base64url(claims, claims_len, jwt + n);
	if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
		EVP_DigestSign(ctx, sig, &sig_len, (uint8_t *)jwt, n) != 1)
		abort();
	EVP_MD_CTX_free(ctx);
	jwt[n++] = '.';
	mu_base64url(sig, sizeof(sig), jwt + n);
	verify(jwt, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *lf = len ? memchr(data, '\n', len) : NULL;
	char *jwt;

	if (!ring)
		setup();
	if (len > 5000)
		return 0;
	jwt = malloc(len + 1);
	memcpy(jwt, data, len);
	jwt[len] = '\0';
	verify(jwt, false);
	free(jwt);
	if (lf)
		sign(data, (size_t)(lf - data), lf + 1, len - (size_t)(lf - data) - 1);
	return 0;
}
