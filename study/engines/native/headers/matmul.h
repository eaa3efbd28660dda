/* Matrix products at the shapes of a recurrent step: a few dozen rows (the batch) times a matrix that
   is the same at every step and therefore packed once, into panels of LANES columns or a few times
   that. One tile of the result stays in registers while the panel streams through the cache. */

/* A tile has at most TALLEST rows and WIDEST vectors; with the vectors of the panel and one of the
   rows it must fit in the registers. */
#define TALLEST 8
#define WIDEST (REGISTERS == 32 ? 4 : 2)
#define HEIGHT(vectors) ((vectors) == 3 ? 8 : 6)

/* c (R rows, C vectors) = [c +] a b. The sum goes over `blocks` blocks of `depth`; b's rows lie `ldb`
   apart throughout, a's blocks `jump` apart. Row r, index k of a is a[r * lda + k] or, `across`,
   a[k * R + r]. */
typedef void product(REAL *c, long ldc, const REAL *a, long lda, long blocks, long jump, long depth,
                     const REAL *b, long ldb, int add);

/* By whether a lies across, C - 1 and R - 1. They are the same for every cell, and compiling them takes
   as long as all the rest: so they are a library of their own (tiles.h), which a kernel is given. */
static product *const (*products)[4][TALLEST];

/* `length` things in as few parts of at most `most` as there can be, of nearly the same size. */
typedef struct {
    long parts, size, longer; /* the first `longer` parts have one more than `size` */
} split;

INLINE split evenly(long length, long most) {
    split s = {(length + most - 1) / most, 0, 0};
    if (s.parts) s.size = length / s.parts, s.longer = length % s.parts;
    return s;
}
INLINE long start(split s, long part) {
    return part * s.size + (part < s.longer ? part : s.longer);
}
INLINE long count(split s, long part) { return s.size + (part < s.longer); }

/* A product as wide as wanted, of at most HEIGHT(widest part) rows. */
INLINE long widest(long vectors) { return count(evenly(vectors, WIDEST), 0); }
INLINE void multiply(int across, long rows, long vectors, REAL *c, long ldc, const REAL *a, long lda,
                     long depth, const REAL *b, long ldb) {
    const split columns = evenly(vectors, WIDEST);
    for (long i = 0; i < columns.parts; i++) {
        const long at = start(columns, i) * LANES;
        products[across][count(columns, i) - 1][rows - 1](c + at, ldc, a, lda, 1, 0, depth, b + at,
                                                          ldb, 1);
    }
}
