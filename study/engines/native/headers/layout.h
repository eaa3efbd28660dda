/* Where a pass keeps its arrays. T steps, B sequences, H hidden units in `units` vectors, padded to
   Hp = units * LANES. The kernels are given sizes and pointers as two arrays, in the order below. */

/* A segment's vectors are worked on in blocks of about WIDEST columns. Block j of a segment with m
   columns has v = count(blocks, j) vectors of every column, m * v * LANES numbers a row. */

typedef struct {
    long T, B, H, Hp, units, keep;
    long inputs[INPUTS + 1];
    const int64_t *lengths; /* steps of each sequence, or null: all T */
    const REAL *x[INPUTS + 1], *given[STATES], *parameters[PARAMETERS + 1];
    REAL *history[STATES], *all_slots; /* history[0] is the output (T,B,H), others (T or 2,B,Hp) */
    REAL *starts[STATES], *vectors[VECTORS + 1];
    split blocks[SEGMENTS];

    /* of the current step */
    long t, old_stride[STATES], new_stride[STATES];
    const REAL *old[STATES], *old_end, *new_end; /* ends of the first state's arrays */
    REAL *new[STATES], *slots;

    /* forward */
    REAL *panels[PARTS + 1], *biases[SEGMENTS], *sums, *computed[COMPUTED_OPERANDS + 1];
    REAL *last[STATES];

    /* backward */
    long capacity; /* rows (steps times sequences) of a chunk */
    const REAL *carry; /* what of the gradient passes from step t to the states before; or null: all */
    const REAL *limit; /* of the columns' gradients, one number; or null */
    int64_t *clipped;  /* entries beyond it, of each step */
    const REAL *outer_gradient, *last_gradient[STATES], *outer;
    REAL *after[STATES], *before[STATES], *later; /* of the new and the old states */
    const REAL *outer_end;
    REAL *record_end[STATES], *record[STATES], *all_records[STATES], *start_gradient[STATES];
    REAL *operand_bars[COMPUTED_OPERANDS + 1], *operand_rows[COMPUTED_OPERANDS + 1];
    REAL *column_bars[SEGMENTS], *across, *sums_of[PARTS + 1], *bias_sums[SEGMENTS];
    REAL *vector_sums[VECTORS + 1], *parameter_gradients[PARAMETERS + 1];
    REAL *input_gradients[INPUTS + 1], *input_rows, *input_panels[PARTS + 1];
} run;

typedef void rows(const run *r, long first, long v, long b, long R, const REAL *sums);
typedef void back_rows(const run *r, long first, long v, long b, long R, long ring, REAL *outs);

INLINE int ended(const run *r, long row) { return r->lengths && r->t >= r->lengths[row]; }
INLINE int ends(const run *r, long row) {
    return r->t + 1 == (r->lengths ? r->lengths[row] : r->T);
}

/* An arena: called with a null base it only measures. */
typedef struct {
    char *base;
    long used;
} arena;
INLINE REAL *take(arena *a, long numbers) {
    REAL *p = a->base ? (REAL *)(a->base + a->used) : 0;
    a->used += (numbers * (long)sizeof(REAL) + 63) / 64 * 64;
    return p;
}
INLINE void zero(REAL *p, long numbers) { memset(p, 0, (size_t)numbers * sizeof(REAL)); }

INLINE long depth_of(const run *r, int part) {
    return operands[parts[part].operand].kind == INPUT ? r->inputs[operands[parts[part].operand].index]
                                                       : r->H;
}
INLINE long range_of(int part) { return parts[part].high - parts[part].low; }

/* sizes: T B H keep chunk, then the inputs' widths. */
static void read_sizes(run *r, const int64_t *sizes) {
    memset(r, 0, sizeof *r);
    r->T = sizes[0], r->B = sizes[1], r->H = sizes[2], r->keep = sizes[3];
    r->units = (r->H + LANES - 1) / LANES, r->Hp = r->units * LANES;
    const long steps = sizes[4] < r->B ? 1 : sizes[4] / r->B;
    r->capacity = (steps < r->T ? steps : r->T) * r->B;
    for (int k = 0; k < INPUTS; k++) r->inputs[k] = sizes[5 + k];
    for (int s = 0; s < SEGMENTS; s++) {
        const long m = segments[s].columns ? segments[s].columns : 1;
        r->blocks[s] = evenly(r->units, m < WIDEST ? WIDEST / m : 1);
    }
}

/* pointers, first part: lengths, x.., given states.., parameters.., history.., slots. */
static void *const *read_pointers(run *r, void *const *p) {
    r->lengths = *p++;
    for (int k = 0; k < INPUTS; k++) r->x[k] = *p++;
    for (int i = 0; i < STATES; i++) r->given[i] = *p++;
    for (int k = 0; k < PARAMETERS; k++) r->parameters[k] = *p++;
    for (int i = 0; i < STATES; i++) r->history[i] = *p++;
    r->all_slots = *p++;
    return p;
}

static void place_common(run *r, arena *a) {
    for (int i = 0; i < STATES; i++) r->starts[i] = take(a, r->B * r->Hp);
    for (int q = 0; q < VECTORS; q++) r->vectors[q] = take(a, r->Hp);
}

static void fill_common(run *r) {
    for (int i = 0; i < STATES; i++) {
        zero(r->starts[i], r->B * r->Hp);
        for (long b = 0; b < r->B; b++)
            memcpy(r->starts[i] + b * r->Hp, r->given[i] + b * r->H, r->H * sizeof(REAL));
    }
    for (int q = 0; q < VECTORS; q++) {
        zero(r->vectors[q], r->Hp);
        memcpy(r->vectors[q], r->parameters[vector_parameters[q]], r->H * sizeof(REAL));
    }
}

static void set_step(run *r, long t) {
    r->t = t;
    for (int i = 0; i < STATES; i++) {
        const long stride = i ? r->Hp : r->H, size = r->B * stride;
        const int every = i == 0 || r->keep;
        r->new[i] = r->history[i] + (every ? t : t & 1) * size;
        r->new_stride[i] = stride;
        r->old[i] = t ? r->history[i] + (every ? t - 1 : (t - 1) & 1) * size : r->starts[i];
        r->old_stride[i] = t ? stride : r->Hp;
    }
    r->new_end = r->history[0] + r->T * r->B * r->H;
    r->old_end = t ? r->new_end : r->starts[0] + r->B * r->Hp;
    r->slots = r->all_slots + (r->keep ? t : 0) * r->B * r->units * SLOTS * LANES;
}

/* The rows that a part's matrices are applied to in the current step, and how far apart they lie. */
static const REAL *operand_rows_of(const run *r, int part, long *stride) {
    const int kind = operands[parts[part].operand].kind, i = operands[parts[part].operand].index;
    switch (kind) {
        case INPUT: *stride = r->inputs[i]; return r->x[i] + r->t * r->B * r->inputs[i];
        case OLD: *stride = r->old_stride[i]; return r->old[i];
        case NEW: *stride = r->new_stride[i]; return r->new[i];
        default: *stride = r->Hp; return r->computed[i];
    }
}
