/* Whatever a test gets for a route, openapi.yaml must have announced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <yaml.h>
#include <cmocka.h>

#include "console/console.h"
#include "fakes.h"

extern const struct mu_asset mu_api_assets[];

static yaml_document_t doc;

static yaml_node_t *at(yaml_node_t *map, const char *key)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		if (strcmp((char *)yaml_document_get_node(&doc, p->key)->data.scalar.value, key) == 0)
			return yaml_document_get_node(&doc, p->value);
	}
	return NULL;
}

static void forget(void)
{
	yaml_document_delete(&doc);
}

static void load(void)
{
	static bool loaded;
	yaml_parser_t p;

	if (loaded)
		return;
	loaded = true;
	yaml_parser_initialize(&p);
	yaml_parser_set_input_string(&p, mu_api_assets[0].data, mu_api_assets[0].len);
	assert_int_equal(yaml_parser_load(&p, &doc), 1);
	yaml_parser_delete(&p);
	atexit(forget);
}

void check_described(const char *method, const char *target, int status)
{
	char vars[MU_VARS_MAX][MU_ID_MAX], allow[64], path[200], code[16];
	const struct mu_route *r;
	yaml_node_t *op;
	char *lower;

	snprintf(path, sizeof(path), "%.*s", (int)strcspn(target, "?"), target);
	r = mu_route_find(method, path, vars, allow, sizeof(allow));
	if (!r || status <= 0)
		return;
	load();
	lower = g_ascii_strdown(r->method, -1);
	snprintf(code, sizeof(code), "%d", status);
	op = at(at(at(yaml_document_get_root_node(&doc), "paths"), r->path), lower);
	if (!at(at(op, "responses"), code))
		fail_msg("%s %s answered %d, of which openapi.yaml says nothing", r->method, r->path, status);
	g_free(lower);
}
