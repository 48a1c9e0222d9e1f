/* openapi.yaml and the route table must say the same: paths, methods, scopes, what is open, whose session it
 * is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <yaml.h>
#include <cmocka.h>

#include "api/private.h"
#include "console/console.h"

extern const struct mu_asset mu_api_assets[];

static yaml_document_t doc;

static yaml_node_t *at(yaml_node_t *map, const char *key)
{
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		if (strcmp((char *)yaml_document_get_node(&doc, p->key)->data.scalar.value, key) == 0)
			return yaml_document_get_node(&doc, p->value);
	}
	return NULL;
}

static bool is_true(yaml_node_t *op, const char *key)
{
	yaml_node_t *v = at(op, key);

	return v && strcmp((char *)v->data.scalar.value, "true") == 0;
}

static int setup(void **state)
{
	yaml_parser_t p;

	(void)state;
	yaml_parser_initialize(&p);
	yaml_parser_set_input_string(&p, mu_api_assets[0].data, mu_api_assets[0].len);
	assert_int_equal(yaml_parser_load(&p, &doc), 1);
	yaml_parser_delete(&p);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	yaml_document_delete(&doc);
	return 0;
}

static uint32_t scopes_of(yaml_node_t *op)
{
	static const char *const names[] = { "publish", "watch", "conference", "operate", "admin" };
	yaml_node_t *list = at(op, "x-scopes");
	uint32_t ret = 0;

	assert_non_null(list);
	for (yaml_node_item_t *i = list->data.sequence.items.start; i < list->data.sequence.items.top; i++) {
		const char *name = (char *)yaml_document_get_node(&doc, *i)->data.scalar.value;
		uint32_t one = 0;

		for (unsigned k = 0; k < MU_ARRAY_LEN(names); k++)
			one |= strcmp(names[k], name) == 0 ? 1u << k : 0;
		assert_int_not_equal(one, 0);
		ret |= one;
	}
	return ret;
}

static void test_every_route_is_described(void **state)
{
	yaml_node_t *paths = at(yaml_document_get_root_node(&doc), "paths");
	const struct mu_route *r;
	size_t n;

	(void)state;
	r = mu_routes(&n);
	for (size_t i = 0; i < n; i++) {
		char *method = g_ascii_strdown(r[i].method, -1);
		yaml_node_t *path = at(paths, r[i].path), *op = path ? at(path, method) : NULL;

		if (!op)
			fail_msg("%s %s is not in openapi.yaml", r[i].method, r[i].path);
		if (scopes_of(op) != r[i].scopes || is_true(op, "x-open") != r[i].open ||
			is_true(op, "x-own") != r[i].own || is_true(op, "x-site-wide") != r[i].site_wide)
			fail_msg("%s %s: openapi.yaml says otherwise who may", r[i].method, r[i].path);
		assert_int_equal(at(op, "security") != NULL, r[i].open);
		assert_int_equal(at(op, "requestBody") != NULL, r[i].body != MU_BODY_NONE);
		g_free(method);
	}
}

static void test_every_description_is_a_route(void **state)
{
	static const char *const methods[] = { "get", "head", "post", "put", "patch", "delete" };
	yaml_node_t *paths = at(yaml_document_get_root_node(&doc), "paths");
	const struct mu_route *r;
	size_t n, described = 0;

	(void)state;
	r = mu_routes(&n);
	(void)r;
	for (yaml_node_pair_t *p = paths->data.mapping.pairs.start; p < paths->data.mapping.pairs.top; p++) {
		for (size_t m = 0; m < MU_ARRAY_LEN(methods); m++)
			described += at(yaml_document_get_node(&doc, p->value), methods[m]) != NULL;
	}
	/* all routes are described, so equal numbers leave none over */
	assert_int_equal(described, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_route_is_described, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_description_is_a_route, setup, teardown),
	};

	return cmocka_run_group_tests_name("api openapi", tests, NULL, NULL);
}
