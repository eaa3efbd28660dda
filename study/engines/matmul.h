/* Matrix products at the shapes of a recurrent step: a few dozen rows (the batch) times a matrix that
   is the same at every step and therefore packed once, into panels of LANES columns or a few times
   that. One tile of the result stays in registers while the panel streams through the cache. */

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* A tile has at most TALLEST rows and WIDEST vectors; with the vectors of the panel and one of the
   rows it must fit in the registers. */
#define TALLEST 8
#define WIDEST (REGISTERS == 32 ? 4 : 2)
#define HEIGHT(vectors) ((vectors) == 3 ? 8 : 6)

/* c (R rows, C vectors) = [c +] a b. The sum goes over `blocks` blocks of `depth`; b's rows lie `ldb`
   apart throughout, a's blocks `jump` apart. Row r, index k of a is a[r * lda + k] or, `across`,
   a[k * R + r]. */
INLINE void tile(const int R, const int C, const int across, REAL *c, long ldc, const REAL *a,
                 long lda, long blocks, long jump, long depth, const REAL *b, long ldb, int add) {
    vec sum[TALLEST][4];
    UNROLL for (int r = 0; r < R; r++) {
        UNROLL for (int j = 0; j < C; j++) sum[r][j] = add ? load(c + r * ldc + j * LANES) : all(0);
    }
    for (long block = 0; block < blocks; block++, a += jump) {
        const REAL *at = a;
        for (long k = 0; k < depth; k++, b += ldb, at += across ? R : 1) {
            vec row[4];
            UNROLL for (int j = 0; j < C; j++) row[j] = load(b + j * LANES);
            UNROLL for (int r = 0; r < R; r++) {
                const vec factor = all(at[across ? r : r * lda]);
                UNROLL for (int j = 0; j < C; j++) sum[r][j] += factor * row[j];
            }
        }
    }
    UNROLL for (int r = 0; r < R; r++) {
        UNROLL for (int j = 0; j < C; j++) store(c + r * ldc + j * LANES, sum[r][j]);
    }
}

typedef void product(REAL *c, long ldc, const REAL *a, long lda, long blocks, long jump, long depth,
                     const REAL *b, long ldb, int add);

#define TILE(R, C, ACROSS)                                                                         \
    static void tile_##R##_##C##_##ACROSS(REAL *c, long ldc, const REAL *a, long lda, long blocks, \
                                          long jump, long depth, const REAL *b, long ldb,          \
                                          int add) {                                               \
        tile(R, C, ACROSS, c, ldc, a, lda, blocks, jump, depth, b, ldb, add);                      \
    }
#define TILES(C, ACROSS)                                                        \
    TILE(1, C, ACROSS) TILE(2, C, ACROSS) TILE(3, C, ACROSS) TILE(4, C, ACROSS) \
    TILE(5, C, ACROSS) TILE(6, C, ACROSS)
#define TALL_TILES(C, ACROSS) TILES(C, ACROSS) TILE(7, C, ACROSS) TILE(8, C, ACROSS)
#define NAMES(C, ACROSS)                                                 \
    tile_1_##C##_##ACROSS, tile_2_##C##_##ACROSS, tile_3_##C##_##ACROSS, \
    tile_4_##C##_##ACROSS, tile_5_##C##_##ACROSS, tile_6_##C##_##ACROSS
#define TALL_NAMES(C, ACROSS) NAMES(C, ACROSS), tile_7_##C##_##ACROSS, tile_8_##C##_##ACROSS

/* Half of the compile time goes here, so of the products across only the widths are made that a cell's
   columns can have (WIDTHS, a set of bits, from its tables). */
#define HAS(C) (REGISTERS == 32 ? WIDTHS_4 >> C & 1 : WIDTHS_2 >> C & 1)
TILES(1, 0)
TILES(2, 0)
#if HAS(1)
TILES(1, 1)
#endif
#if HAS(2)
TILES(2, 1)
#endif
#if REGISTERS == 32
TALL_TILES(3, 0)
TILES(4, 0)
#if HAS(3)
TALL_TILES(3, 1)
#endif
#if HAS(4)
TILES(4, 1)
#endif
#endif
static product *const products[2][4][TALLEST] = {
    {{NAMES(1, 0)}, {NAMES(2, 0)},
#if REGISTERS == 32
     {TALL_NAMES(3, 0)}, {NAMES(4, 0)},
#endif
    },
    {
#if HAS(1)
     [0] = {NAMES(1, 1)},
#endif
#if HAS(2)
     [1] = {NAMES(2, 1)},
#endif
#if REGISTERS == 32 && HAS(3)
     [2] = {TALL_NAMES(3, 1)},
#endif
#if REGISTERS == 32 && HAS(4)
     [3] = {NAMES(4, 1)},
#endif
    },
};

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
