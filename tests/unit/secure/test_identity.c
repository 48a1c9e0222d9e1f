#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "secure/identity.h"

static void test_each_identity_is_fresh(void **state)
{
	struct mu_identity *a, *b;

	(void)state;
	assert_int_equal(mu_identity_new(&a), 0);
	assert_int_equal(mu_identity_new(&b), 0);
	assert_memory_not_equal(mu_identity_fingerprint(a), mu_identity_fingerprint(b), MU_FINGERPRINT_LEN);
	assert_int_not_equal(
		ASN1_INTEGER_cmp(X509_get0_serialNumber(a->cert), X509_get0_serialNumber(b->cert)), 0);
	mu_identity_free(a);
	mu_identity_free(b);
	mu_identity_free(NULL);
}

static void test_certificate_is_sound(void **state)
{
	struct mu_identity *id;
	char curve[32];

	(void)state;
	assert_int_equal(mu_identity_new(&id), 0);
	assert_int_equal(X509_verify(id->cert, id->key), 1);
	assert_int_equal(X509_check_private_key(id->cert, id->key), 1);
	assert_int_equal(EVP_PKEY_get_group_name(id->key, curve, sizeof(curve), NULL), 1);
	assert_string_equal(curve, "prime256v1");
	assert_true(X509_cmp_current_time(X509_get0_notBefore(id->cert)) < 0);
	assert_true(X509_cmp_current_time(X509_get0_notAfter(id->cert)) > 0);
	assert_true(ASN1_INTEGER_get(X509_get0_serialNumber(id->cert)) != 0);
	mu_identity_free(id);
}

static void test_fingerprint_is_of_the_der(void **state)
{
	struct mu_identity *id;
	uint8_t *der = NULL, fp[32];
	int len;

	(void)state;
	assert_int_equal(mu_identity_new(&id), 0);
	len = i2d_X509(id->cert, &der);
	assert_true(len > 0);
	assert_int_equal(EVP_Digest(der, (size_t)len, fp, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(fp, mu_identity_fingerprint(id), sizeof(fp));
	OPENSSL_free(der);
	mu_identity_free(id);
}

#define GOOD "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:EE:FF"

static void test_fingerprint_text(void **state)
{
	uint8_t fp[MU_FINGERPRINT_LEN];
	char text[96];

	(void)state;
	assert_int_equal(mu_fingerprint_parse(GOOD, fp), 0);
	assert_int_equal(fp[0], 0);
	assert_int_equal(fp[10], 10);
	assert_int_equal(fp[31], 255);
	mu_fingerprint_text(fp, text);
	assert_string_equal(text, GOOD);
	assert_int_equal(strlen(text), 95);
}

static void test_fingerprint_refused(void **state)
{
	uint8_t fp[MU_FINGERPRINT_LEN];
	char text[128];

	(void)state;
	for (size_t i = 0; i < strlen(GOOD); i++) {
		snprintf(text, sizeof(text), "%s", GOOD);
		text[i] = 'g';
		assert_int_equal(mu_fingerprint_parse(text, fp), -EBADMSG);
		text[i] = '\0';
		assert_int_equal(mu_fingerprint_parse(text, fp), -EBADMSG);
	}
	assert_int_equal(mu_fingerprint_parse(GOOD ":", fp), -EBADMSG);
	assert_int_equal(mu_fingerprint_parse(GOOD ":00", fp), -EBADMSG);
	assert_int_equal(mu_fingerprint_parse(" " GOOD, fp), -EBADMSG);
	/* Lower case comes from devices. */
	snprintf(text, sizeof(text), "%s", GOOD);
	for (char *c = text; *c; c++)
		*c = *c >= 'A' && *c <= 'F' ? (char)(*c + 32) : *c;
	assert_int_equal(mu_fingerprint_parse(text, fp), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_identity_is_fresh),
		cmocka_unit_test(test_certificate_is_sound),
		cmocka_unit_test(test_fingerprint_is_of_the_der),
		cmocka_unit_test(test_fingerprint_text),
		cmocka_unit_test(test_fingerprint_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
