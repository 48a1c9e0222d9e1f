/* docs/signalling.schema.json, as much of JSON Schema as it uses. */
#ifndef SCHEMA_H
#define SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

void schema_load(void);
void schema_unload(void);
/** Whether a message is one of "client" or "gateway" ($defs of the file).
 *  @param strict  members that the schema does not know are wrong
 *  @param why     of the last mismatch; "" none */
bool schema_fits(const char *side, const json_t *message, bool strict, char *why, size_t size);
/** $defs/<name>; borrowed. */
const json_t *schema_def(const char *name);

#endif
