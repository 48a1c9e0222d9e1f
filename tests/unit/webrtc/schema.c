#include "schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static json_t *schema;

struct check {
	bool strict;
	char *why;
	size_t size;
};

static bool fits(const struct check *c, const json_t *s, const json_t *v, const char *at);

void schema_load(void)
{
	json_error_t e;

	schema = json_load_file(MU_TEST_DOCS "/signalling.schema.json", JSON_REJECT_DUPLICATES, &e);
	if (!schema)
		fail_msg("signalling.schema.json, line %d: %s", e.line, e.text);
}

void schema_unload(void)
{
	json_decref(schema);
	schema = NULL;
}

const json_t *schema_def(const char *name)
{
	const json_t *s = json_object_get(json_object_get(schema, "$defs"), name);

	if (!s)
		fail_msg("there is no $defs/%s", name);
	return s;
}

static bool wrong(const struct check *c, const char *at, const char *what)
{
	snprintf(c->why, c->size, "%s: %s", at, what);
	return false;
}

static bool has_type(const json_t *v, const char *name)
{
	return (strcmp(name, "object") == 0 && json_is_object(v)) ||
		(strcmp(name, "array") == 0 && json_is_array(v)) ||
		(strcmp(name, "string") == 0 && json_is_string(v)) ||
		(strcmp(name, "integer") == 0 && json_is_integer(v)) ||
		(strcmp(name, "number") == 0 && json_is_number(v)) ||
		(strcmp(name, "boolean") == 0 && json_is_boolean(v)) ||
		(strcmp(name, "null") == 0 && json_is_null(v));
}

static bool type_fits(const json_t *type, const json_t *v)
{
	const json_t *one;
	size_t i;

	if (!type)
		return true;
	if (json_is_string(type))
		return has_type(v, json_string_value(type));
	json_array_foreach(type, i, one)
	{
		if (has_type(v, json_string_value(one)))
			return true;
	}
	return false;
}

static bool listed(const json_t *list, const json_t *v)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (json_equal(one, v))
			return true;
	}
	return false;
}

/* Characters, not bytes. */
static size_t length(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static bool bounds_fit(const json_t *s, const json_t *v)
{
	const json_t *min = json_object_get(s, "minimum"), *max = json_object_get(s, "maximum");
	const json_t *least = json_object_get(s, "minLength"), *most = json_object_get(s, "maxLength");

	if (json_is_number(v))
		return (!min || json_number_value(v) >= json_number_value(min)) &&
			(!max || json_number_value(v) <= json_number_value(max));
	if (json_is_string(v))
		return (!least || length(json_string_value(v)) >= (size_t)json_integer_value(least)) &&
			(!most || length(json_string_value(v)) <= (size_t)json_integer_value(most));
	return true;
}

static bool object_fits(const struct check *c, const json_t *s, const json_t *v, const char *at)
{
	const json_t *props = json_object_get(s, "properties"), *one;
	const char *key;
	char path[200];
	size_t i;

	json_array_foreach(json_object_get(s, "required"), i, one)
	{
		if (!json_object_get(v, json_string_value(one)))
			return wrong(c, at, json_string_value(one));
	}
	json_object_foreach((json_t *)(uintptr_t)v, key, one)
	{
		const json_t *p = json_object_get(props, key);

		snprintf(path, sizeof(path), "%s.%s", at, key);
		if (!p && props && c->strict)
			return wrong(c, path, "is not described");
		if (p && !fits(c, p, one, path))
			return false;
	}
	return true;
}

static bool array_fits(const struct check *c, const json_t *s, const json_t *v, const char *at)
{
	const json_t *items = json_object_get(s, "items"), *max = json_object_get(s, "maxItems"), *one;
	size_t i;

	if (max && json_array_size(v) > (size_t)json_integer_value(max))
		return wrong(c, at, "is too long");
	json_array_foreach(v, i, one)
	{
		if (items && !fits(c, items, one, at))
			return false;
	}
	return true;
}

/* The one that names the message's type speaks: its fault is the message's. */
static bool one_of(const struct check *c, const json_t *list, const json_t *v, const char *at)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const json_t *s =
			schema_def(strrchr(json_string_value(json_object_get(one, "$ref")), '/') + 1);
		const json_t *type =
			json_object_get(json_object_get(json_object_get(s, "properties"), "type"), "const");

		if (json_equal(type, json_object_get(v, "type")))
			return fits(c, s, v, json_string_value(type));
	}
	return wrong(c, at, "no such type");
}

static bool fits(const struct check *c, const json_t *s, const json_t *v, const char *at)
{
	const json_t *ref = json_object_get(s, "$ref"), *constant = json_object_get(s, "const"),
		     *list = json_object_get(s, "enum"), *either = json_object_get(s, "oneOf");

	if (ref)
		return fits(c, schema_def(strrchr(json_string_value(ref), '/') + 1), v, at);
	if (either)
		return one_of(c, either, v, at);
	if (!type_fits(json_object_get(s, "type"), v))
		return wrong(c, at, "is of another type");
	if ((constant && !json_equal(constant, v)) || (list && !listed(list, v)) || !bounds_fit(s, v))
		return wrong(c, at, "has no such value");
	if (json_is_object(v))
		return object_fits(c, s, v, at);
	return !json_is_array(v) || array_fits(c, s, v, at);
}

bool schema_fits(const char *side, const json_t *message, bool strict, char *why, size_t size)
{
	const struct check c = { strict, why, size };

	why[0] = '\0';
	return fits(&c, schema_def(side), message, side);
}
