/* The products of matmul.h, compiled once for all cells. */

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

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

TILES(1, 0) TILES(1, 1)
TILES(2, 0) TILES(2, 1)
#if REGISTERS == 32
TALL_TILES(3, 0) TALL_TILES(3, 1)
TILES(4, 0) TILES(4, 1)
#define BY_WIDTH(ACROSS) \
    {{NAMES(1, ACROSS)}, {NAMES(2, ACROSS)}, {TALL_NAMES(3, ACROSS)}, {NAMES(4, ACROSS)}}
#else
#define BY_WIDTH(ACROSS) {{NAMES(1, ACROSS)}, {NAMES(2, ACROSS)}}
#endif
static product *const made[2][4][TALLEST] = {BY_WIDTH(0), BY_WIDTH(1)};

const void *tiles(void) { return made; }
