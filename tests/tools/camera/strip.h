/* strip: a frame number that survives encoding, scaling and relaying: black and white cells along the top edge.
 *
 * 28 cells share the frame's width, a twelfth of its height is theirs: white, black, 24 bits (highest first), even parity,
 * white. tests/e2e/page.js draws and reads the same. White and black at the start give the threshold, so that a reader
 * needs to know neither range nor gamma.
 */
#ifndef CAMERA_STRIP_H
#define CAMERA_STRIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STRIP_CELLS  28
#define STRIP_BITS   24
#define STRIP_HEIGHT 12 /* one part in so many of the frame */

/** Draw the low 24 bits of a number into a luma plane (8 bits, video range). */
void strip_draw(uint8_t *luma, size_t stride, unsigned width, unsigned height, uint32_t number);
/** @return false: no strip, or it does not read clearly (contrast, parity) */
bool strip_read(const uint8_t *luma, size_t stride, unsigned width, unsigned height, uint32_t *ret);

#endif
