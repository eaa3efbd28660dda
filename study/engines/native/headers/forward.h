/* The loop forward through time. */

static long place_forward(run *r, void *base) {
    arena a = {base, 0};
    place_common(r, &a);
    long widest_row = 1;
    for (int s = 0; s < SEGMENTS; s++) {
        r->biases[s] = take(&a, segments[s].columns * r->Hp);
        const long width = segments[s].columns * count(r->blocks[s], 0);
        if (width > widest_row) widest_row = width;
    }
    for (int p = 0; p < PARTS; p++) r->panels[p] = take(&a, depth_of(r, p) * range_of(p) * r->Hp);
    r->sums = take(&a, TALLEST * widest_row * LANES);
    for (int k = 0; k < COMPUTED_OPERANDS; k++) r->computed[k] = take(&a, r->B * r->Hp);
    return a.used;
}

/* Panel of a part: block j, then row k of the transposed matrices, then column, vector, lane. */
static void pack_forward(run *r, int p) {
    const long depth = depth_of(r, p), range = range_of(p);
    const split blocks = r->blocks[parts[p].segment];
    REAL *out = r->panels[p];
    for (long j = 0; j < blocks.parts; j++) {
        const long width = count(blocks, j) * LANES, first = start(blocks, j) * LANES;
        for (long c = 0; c < range; c++) {
            const int m = matrices[parts[p].matrix + c];
            for (long i = 0; i < width; i++) {
                const long unit = first + i;
                const REAL *from = m < 0 || unit >= r->H ? 0 : r->parameters[m] + unit * depth;
                REAL *to = out + c * width + i;
                for (long k = 0; k < depth; k++) to[k * range * width] = from ? from[k] : 0;
            }
        }
        out += depth * range * width;
    }
}

static void pack_biases(run *r) {
    for (int s = 0; s < SEGMENTS; s++) zero(r->biases[s], segments[s].columns * r->Hp);
    for (int k = 0; k < TERMS; k++) {
        const int s = terms[k].segment;
        for (long j = 0; j < r->blocks[s].parts; j++) {
            const long width = count(r->blocks[s], j) * LANES, first = start(r->blocks[s], j) * LANES;
            REAL *to = r->biases[s] + segments[s].columns * first + terms[k].column * width;
            for (long i = 0; i < width && first + i < r->H; i++)
                to[i] += r->parameters[terms[k].parameter][first + i];
        }
    }
}

/* Rows that a tile of any of a segment's products may have. */
static long tallest(int s, long v) {
    long most = TALLEST;
    for (int p = segments[s].part; p < segments[s].part + segments[s].parts; p++)
        if (HEIGHT(widest(range_of(p) * v)) < most) most = HEIGHT(widest(range_of(p) * v));
    return most;
}

static void forward_segment(run *r, int s) {
    const split blocks = r->blocks[s];
    const long columns = segments[s].columns;
    for (long j = 0; j < blocks.parts; j++) {
        const long v = count(blocks, j), first = start(blocks, j), width = columns * v * LANES;
        const split row_blocks = evenly(r->B, tallest(s, v));
        const REAL *bias = r->biases[s] + columns * first * LANES;
        for (long i = 0; i < row_blocks.parts; i++) {
            const long b = start(row_blocks, i), R = count(row_blocks, i);
            for (long row = 0; row < R; row++)
                for (long at = 0; at < width; at += LANES)
                    store(r->sums + row * width + at, load(bias + at));
            for (int p = segments[s].part; p < segments[s].part + segments[s].parts; p++) {
                const long depth = depth_of(r, p), wide = range_of(p) * v;
                long stride;
                const REAL *from = operand_rows_of(r, p, &stride);
                multiply(0, R, wide, r->sums + parts[p].low * v * LANES, width, from + b * stride,
                         stride, depth, r->panels[p] + depth * range_of(p) * first * LANES,
                         wide * LANES);
            }
            forward_rows[s](r, first, v, b, R, r->sums);
        }
    }
}

/* pointers, then: last states.., workspace. Without pointers: the workspace's size in bytes. */
static __attribute__((noinline)) int64_t forward_pass(const int64_t *sizes, void *const *pointers) {
    run r;
    read_sizes(&r, sizes);
    if (!pointers) return place_forward(&r, 0);
    pointers = read_pointers(&r, pointers);
    for (int i = 0; i < STATES; i++) r.last[i] = *pointers++;
    place_forward(&r, *pointers);
    fill_common(&r);
    for (int p = 0; p < PARTS; p++) pack_forward(&r, p);
    pack_biases(&r);
    for (long t = 0; t < r.T; t++) {
        set_step(&r, t);
        for (int s = 0; s < SEGMENTS; s++) forward_segment(&r, s);
        for (long b = 0; b < r.B; b++)
            if (ends(&r, b))
                for (int i = 0; i < STATES; i++)
                    memcpy(r.last[i] + b * r.H, r.new[i] + b * r.new_stride[i], r.H * sizeof(REAL));
    }
    return 0;
}
