#include "strip.h"

#include <string.h>

#define WHITE	 235 /* video range (BT.601) */
#define BLACK	 16
#define CONTRAST 80 /* less between the first two cells is no strip */

static unsigned parity(uint32_t number)
{
	return (unsigned)__builtin_popcount(number & ((1u << STRIP_BITS) - 1)) & 1;
}

static bool cell_white(uint32_t number, unsigned cell)
{
	if (cell == 0 || cell == STRIP_CELLS - 1)
		return true;
	if (cell == 1)
		return false;
	if (cell == STRIP_BITS + 2)
		return parity(number);
	return number >> (STRIP_BITS + 1 - cell) & 1;
}

void strip_draw(uint8_t *luma, size_t stride, unsigned width, unsigned height, uint32_t number)
{
	unsigned rows = height / STRIP_HEIGHT;

	for (unsigned cell = 0; cell < STRIP_CELLS; cell++) {
		unsigned from = width * cell / STRIP_CELLS, to = width * (cell + 1) / STRIP_CELLS;

		memset(luma + from, cell_white(number, cell) ? WHITE : BLACK, to - from);
	}
	for (unsigned y = 1; y < rows; y++)
		memcpy(luma + y * stride, luma, width);
}

/** Mean of the middle half of a cell: its edges are smeared by scaling and chroma. */
static unsigned cell_mean(const uint8_t *luma, size_t stride, unsigned width, unsigned rows, unsigned cell)
{
	unsigned from = width * (4 * cell + 1) / (4 * STRIP_CELLS), to = width * (4 * cell + 3) / (4 * STRIP_CELLS);
	unsigned long sum = 0, n = 0;

	for (unsigned y = rows / 4; y < rows - rows / 4; y++) {
		for (unsigned x = from; x < to; x++, n++)
			sum += luma[y * stride + x];
	}
	return n ? (unsigned)(sum / n) : 0;
}

bool strip_read(const uint8_t *luma, size_t stride, unsigned width, unsigned height, uint32_t *ret)
{
	unsigned rows = height / STRIP_HEIGHT, white, black, middle;
	uint32_t number = 0;

	if (width < 4 * STRIP_CELLS || rows < 4)
		return false;
	white = cell_mean(luma, stride, width, rows, 0);
	black = cell_mean(luma, stride, width, rows, 1);
	if (white < black + CONTRAST)
		return false;
	middle = (white + black) / 2;
	for (unsigned cell = 2; cell < STRIP_BITS + 2; cell++)
		number = number << 1 | (cell_mean(luma, stride, width, rows, cell) > middle);
	if ((cell_mean(luma, stride, width, rows, STRIP_BITS + 2) > middle) != parity(number))
		return false;
	if (cell_mean(luma, stride, width, rows, STRIP_CELLS - 1) <= middle)
		return false;
	*ret = number;
	return true;
}
