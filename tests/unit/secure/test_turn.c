#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "secure/secure.h"

/* By `printf NAME | openssl dgst -sha1 -hmac SECRET -binary | base64`, which is what coturn's manual says. */
static void test_as_coturn_makes_them(void **state)
{
	struct mu_turn_credentials c;

	(void)state;
	assert_int_equal(mu_turn_credentials("north", "alice", 1700000000, &c), 0);
	assert_string_equal(c.username, "1700000000:alice");
	assert_string_equal(c.password, "Cd/49soE35ICqcJF/bCTn8Z4OyE=");
	assert_int_equal(mu_turn_credentials("a longer secret, with spaces", "city.east/cam-1", 4102444800, &c), 0);
	assert_string_equal(c.username, "4102444800:city.east/cam-1");
	assert_string_equal(c.password, "zuCc0AkquR1M+ne0CAXgA3xAec0=");
}

/* What would end a header's quoted text, or the time, is not in the name; and it ends in time. */
static void test_names_are_plain(void **state)
{
	struct mu_turn_credentials c;
	char lengthy[400];

	(void)state;
	memset(lengthy, 'x', sizeof(lengthy) - 1);
	lengthy[sizeof(lengthy) - 1] = '\0';
	assert_int_equal(mu_turn_credentials("s", "9:a\"; rel=\"x\r\nb", 7, &c), 0);
	assert_string_equal(c.username, "7:9_a___rel__x__b");
	assert_int_equal(mu_turn_credentials("s", "", 7, &c), 0);
	assert_string_equal(c.username, "7:nobody");
	assert_int_equal(mu_turn_credentials("s", lengthy, 7, &c), 0);
	assert_int_equal(strlen(c.username), sizeof(c.username) - 1);
	assert_int_equal(strlen(c.password), 28);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_coturn_makes_them),
		cmocka_unit_test(test_names_are_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
