/* The loop backward through time, in chunks of steps: the gradients of a chunk's columns stay in the
   cache until the matrices' and the input's gradients have been formed from them, in products that
   are deep enough to run at full speed. Nothing the forward pass kept is overwritten. */

static long input_units(const run *r, int k) { return (r->inputs[k] + LANES - 1) / LANES; }
static int is_input(int p) { return operands[parts[p].operand].kind == INPUT; }

static long place_backward(run *r, void *base) {
    arena a = {base, 0};
    long deepest = 1, widest_input = 1;
    place_common(r, &a);
    for (int i = 0; i < STATES; i++) {
        r->after[i] = take(&a, r->B * r->Hp);
        r->before[i] = take(&a, r->B * r->Hp);
    }
    r->later = take(&a, r->B * r->Hp * LATER);
    for (int k = 0; k < COMPUTED_OPERANDS; k++) {
        r->operand_bars[k] = take(&a, r->B * r->Hp);
        r->operand_rows[k] = take(&a, r->capacity * r->Hp);
    }
    for (int s = 0; s < SEGMENTS; s++) {
        r->column_bars[s] = take(&a, r->capacity * segments[s].columns * r->Hp);
        r->bias_sums[s] = take(&a, segments[s].columns * r->Hp);
    }
    for (int p = 0; p < PARTS; p++) {
        const long depth = depth_of(r, p), size = range_of(p) * r->Hp;
        if (depth > deepest) deepest = depth;
        r->sums_of[p] = take(&a, depth * size);
        if (is_input(p)) {
            const long width = input_units(r, operands[parts[p].operand].index) * LANES;
            if (width > widest_input) widest_input = width;
            r->input_panels[p] = take(&a, size * width);
        } else {
            r->panels[p] = take(&a, size * r->Hp);
        }
    }
    r->across = take(&a, deepest * r->capacity);
    r->input_rows = take(&a, r->capacity * widest_input);
    for (int q = 0; q < VECTORS; q++) r->vector_sums[q] = take(&a, r->Hp);
    return a.used;
}

/* The matrices of a part as they are, in panels of at most WIDEST vectors of `width` columns; the rows
   in the order in which the columns' gradients lie. */
static void pack_backward(run *r, int p, REAL *out, long width) {
    const split groups = evenly((width + LANES - 1) / LANES, WIDEST);
    const split blocks = r->blocks[parts[p].segment];
    for (long g = 0; g < groups.parts; g++) {
        const long wide = count(groups, g) * LANES, left = start(groups, g) * LANES;
        const long some = width - left < wide ? width - left : wide;
        for (long j = 0; j < blocks.parts; j++)
            for (long c = 0; c < range_of(p); c++)
                for (long i = 0; i < count(blocks, j) * LANES; i++, out += wide) {
                    const int m = matrices[parts[p].matrix + c];
                    const long unit = start(blocks, j) * LANES + i;
                    zero(out, wide);
                    if (m >= 0 && unit < r->H)
                        memcpy(out, r->parameters[m] + unit * width + left, some * sizeof(REAL));
                }
    }
}

/* to (rows, width) = [to +] the columns' gradients times the part's matrices. */
static void pull(run *r, int p, const REAL *panel, REAL *to, long stride, long width, long ring,
                 long rows_, int add) {
    const int s = parts[p].segment;
    const split groups = evenly((width + LANES - 1) / LANES, WIDEST), blocks = r->blocks[s];
    const long columns = segments[s].columns;
    for (long g = 0; g < groups.parts; g++) {
        const long wide = count(groups, g);
        const split row_blocks = evenly(rows_, HEIGHT(wide));
        for (long i = 0; i < row_blocks.parts; i++) {
            const long b = start(row_blocks, i), R = count(row_blocks, i);
            REAL *out = to + b * stride + start(groups, g) * LANES;
            const REAL *at = panel;
            int more = add;
            for (int longer = 1; longer >= 0; longer--) {
                const long v = blocks.size + longer, from = longer ? 0 : blocks.longer;
                const long number = longer ? blocks.longer : blocks.parts - blocks.longer;
                if (!number || !v) continue;
                const long row = columns * v * LANES, depth = range_of(p) * v * LANES;
                const REAL *bars = r->column_bars[s] + columns * start(blocks, from) * LANES * r->capacity;
                products[0][wide - 1][R - 1](out, stride,
                                             bars + (ring + b) * row + parts[p].low * v * LANES, row,
                                             number, r->capacity * row, depth, at, wide * LANES, more);
                at += number * depth * wide * LANES;
                more = 1;
            }
        }
        panel += range_of(p) * r->Hp * wide * LANES;
    }
}

/* Keeps a step's gradients within the limit and returns how many were beyond it. NaN stays NaN. */
static int64_t clip(REAL *bars, long numbers, REAL limit) {
    const vec high = all(limit), low = -high;
    mask beyond = {0};
    for (long at = 0; at < numbers; at += LANES) {
        const vec a = load(bars + at);
        const mask above = (mask)(a > high), under = (mask)(a < low);
        store(bars + at, choose(above, high, choose(under, low, a)));
        beyond -= above | under;
    }
    int64_t total = 0;
    for (long i = 0; i < LANES; i++) total += beyond[i];
    return total;
}

static void backward_segment(run *r, int s, long ring) {
    const split blocks = r->blocks[s];
    for (long j = 0; j < blocks.parts; j++) {
        const long v = count(blocks, j), first = start(blocks, j);
        const long columns = segments[s].columns, row = columns * v * LANES;
        REAL *bars = r->column_bars[s] + columns * first * LANES * r->capacity + ring * row;
        backward_rows[s](r, first, v, 0, r->B, ring, bars);
        if (r->limit) r->clipped[r->t] += clip(bars, r->B * row, *r->limit);
    }
    for (int p = segments[s].part; p < segments[s].part + segments[s].parts; p++) {
        const int kind = operands[parts[p].operand].kind, i = operands[parts[p].operand].index;
        if (kind == INPUT) continue;
        REAL *to = kind == OLD ? r->before[i] : kind == NEW ? r->after[i] : r->operand_bars[i];
        pull(r, p, r->panels[p], to, r->Hp, r->H, ring, r->B, !parts[p].fresh);
    }
}

/* A cut passes on nothing, not 0 times infinity. */
static void scale(REAL *p, long numbers, REAL factor) {
    if (factor == 0)
        zero(p, numbers);
    else if (factor != 1)
        for (long i = 0; i < numbers; i++) p[i] *= factor;
}

static void backward_step(run *r, long ring) {
    for (int i = 0; i < STATES; i++) {
        const long at = r->t * r->B * r->H, all = r->T * r->B * r->H;
        r->record[i] = r->all_records[i] ? r->all_records[i] + at : 0;
        r->record_end[i] = r->all_records[i] ? r->all_records[i] + all : 0;
        r->outer = r->outer_gradient ? r->outer_gradient + at : 0;
        r->outer_end = r->outer_gradient ? r->outer_gradient + all : 0;
        if (r->last_gradient[i])
            for (long b = 0; b < r->B; b++)
                if (ends(r, b))
                    for (long k = 0; k < r->H; k++)
                        r->after[i][b * r->Hp + k] += r->last_gradient[i][b * r->H + k];
        if (untouched[i]) zero(r->before[i], r->B * r->Hp);
    }
    for (int s = SEGMENTS - 1; s >= 0; s--) backward_segment(r, s, ring);
    for (int i = 0; i < STATES; i++) {
        if (r->carry) scale(r->before[i], r->B * r->Hp, r->carry[r->t]);
        REAL *swap = r->after[i];
        r->after[i] = r->before[i], r->before[i] = swap;
    }
}

static int is_wanted(const run *r, int p) {
    for (long c = 0; c < range_of(p); c++) {
        const int m = matrices[parts[p].matrix + c];
        if (m >= 0 && r->parameter_gradients[m]) return 1;
    }
    return 0;
}

INLINE void side_by_side(const int R, REAL *to, const REAL *from, long stride, long number) {
    for (long b = 0; b < number; b++) memcpy(to + b * R, from + b * stride, R * sizeof(REAL));
}

/* The operand's rows of steps t0 to t1 in groups of a tile's height, each group's rows side by side. */
static void pack_across(run *r, int p, split groups, long t0, long t1) {
    for (long t = t0; t < t1; t++) {
        long stride;
        set_step(r, t);
        const REAL *from = operand_rows_of(r, p, &stride);
        const long ring = (t - t0) * r->B;
        if (operands[parts[p].operand].kind == COMPUTED)
            from = r->operand_rows[operands[parts[p].operand].index] + ring * r->Hp;
        for (long g = 0; g < groups.parts; g++) {
            const long R = count(groups, g), k = start(groups, g);
            REAL *to = r->across + k * r->capacity + ring * R;
            switch (R) { /* so that the compiler knows how much it copies */
                case 8: side_by_side(8, to, from + k, stride, r->B); break;
                case 7: side_by_side(7, to, from + k, stride, r->B); break;
                case 6: side_by_side(6, to, from + k, stride, r->B); break;
                case 5: side_by_side(5, to, from + k, stride, r->B); break;
                case 4: side_by_side(4, to, from + k, stride, r->B); break;
                case 3: side_by_side(3, to, from + k, stride, r->B); break;
                case 2: side_by_side(2, to, from + k, stride, r->B); break;
                default: side_by_side(1, to, from + k, stride, r->B);
            }
        }
    }
}

/* Adds a chunk's share to the gradient of a part's matrices, kept in the order of a forward panel. */
static void add_matrices(run *r, int p, long t0, long t1) {
    const int s = parts[p].segment;
    const split blocks = r->blocks[s];
    const long depth = depth_of(r, p), range = range_of(p), columns = segments[s].columns;
    const long total = (t1 - t0) * r->B, high = tallest(s, count(blocks, 0));
    const long low = tallest(s, blocks.size); /* the blocks are of one size or of two */
    const split groups = evenly(depth, high < low ? high : low);
    pack_across(r, p, groups, t0, t1);
    for (long from = 0; from < total; from += 256) { /* rows whose gradients fit in the L1 cache */
        const long some = total - from < 256 ? total - from : 256;
        for (long j = 0; j < blocks.parts; j++) {
            const long v = count(blocks, j), first = start(blocks, j), row = columns * v * LANES;
            const REAL *bars = r->column_bars[s] + columns * first * LANES * r->capacity + from * row +
                               parts[p].low * v * LANES;
            REAL *out = r->sums_of[p] + depth * range * first * LANES;
            for (long g = 0; g < groups.parts; g++) {
                const long R = count(groups, g), k = start(groups, g);
                multiply(1, R, range * v, out + k * range * v * LANES, range * v * LANES,
                         r->across + k * r->capacity + from * R, 0, some, bars, row);
            }
        }
    }
}

static void add_biases(run *r, int s, long total) {
    for (long j = 0; j < r->blocks[s].parts; j++) {
        const long columns = segments[s].columns, first = start(r->blocks[s], j);
        const long width = columns * count(r->blocks[s], j) * LANES;
        const REAL *bars = r->column_bars[s] + columns * first * LANES * r->capacity;
        for (long at = 0; at < width; at += LANES) {
            REAL *sum = r->bias_sums[s] + columns * first * LANES + at;
            vec even = load(sum), odd = all(0);
            long row = 0;
            for (; row + 1 < total; row += 2) {
                even += load(bars + row * width + at);
                odd += load(bars + (row + 1) * width + at);
            }
            if (row < total) even += load(bars + row * width + at);
            store(sum, even + odd);
        }
    }
}

static void input_gradient(run *r, int k, long t0, long t1) {
    const long width = r->inputs[k], stride = input_units(r, k) * LANES, total = (t1 - t0) * r->B;
    int add = 0;
    for (int p = 0; p < PARTS; p++)
        if (is_input(p) && operands[parts[p].operand].index == k) {
            pull(r, p, r->input_panels[p], r->input_rows, stride, width, 0, total, add);
            add = 1;
        }
    for (long row = 0; row < total; row++)
        memcpy(r->input_gradients[k] + (t0 * r->B + row) * width, r->input_rows + row * stride,
               width * sizeof(REAL));
}

static void chunk(run *r, long t0, long t1) {
    for (long t = t1 - 1; t >= t0; t--) {
        set_step(r, t);
        backward_step(r, (t - t0) * r->B);
    }
    for (int p = 0; p < PARTS; p++)
        if (is_wanted(r, p)) add_matrices(r, p, t0, t1);
    for (int s = 0; s < SEGMENTS; s++) add_biases(r, s, (t1 - t0) * r->B);
    for (int k = 0; k < INPUTS; k++)
        if (r->input_gradients[k]) input_gradient(r, k, t0, t1);
}

static void hand_out(run *r) {
    for (int p = 0; p < PARTS; p++) {
        const long depth = depth_of(r, p), range = range_of(p);
        const split blocks = r->blocks[parts[p].segment];
        for (long j = 0; j < blocks.parts; j++)
            for (long c = 0; c < range; c++)
                for (long i = 0; i < count(blocks, j) * LANES; i++) {
                    const int m = matrices[parts[p].matrix + c];
                    const long unit = start(blocks, j) * LANES + i, width = count(blocks, j) * LANES;
                    if (m < 0 || unit >= r->H || !r->parameter_gradients[m]) continue;
                    const REAL *from = r->sums_of[p] + depth * range * start(blocks, j) * LANES +
                                       c * width + i;
                    REAL *to = r->parameter_gradients[m] + unit * depth;
                    for (long k = 0; k < depth; k++) to[k] += from[k * range * width];
                }
    }
    for (int k = 0; k < TERMS; k++) {
        const int s = terms[k].segment;
        REAL *to = r->parameter_gradients[terms[k].parameter];
        for (long j = 0; to && j < r->blocks[s].parts; j++) {
            const long width = count(r->blocks[s], j) * LANES, first = start(r->blocks[s], j) * LANES;
            const REAL *from = r->bias_sums[s] + segments[s].columns * first + terms[k].column * width;
            for (long i = 0; i < width && first + i < r->H; i++) to[first + i] += from[i];
        }
    }
    for (int q = 0; q < VECTORS; q++) {
        REAL *to = r->parameter_gradients[vector_parameters[q]];
        for (long i = 0; to && i < r->H; i++) to[i] += r->vector_sums[q][i];
    }
    for (int i = 0; i < STATES; i++)
        for (long b = 0; r->start_gradient[i] && b < r->B; b++)
            memcpy(r->start_gradient[i] + b * r->H, r->after[i] + b * r->Hp, r->H * sizeof(REAL));
}

/* pointers, then: carry, limit, clipped (zeroed); gradient of the output, of the last states..,
   records.., and the gradients wanted: of the inputs.., given states.., parameters.. (zeroed);
   workspace. Null where there is none. */
static __attribute__((noinline)) int64_t backward_pass(const int64_t *sizes, void *const *pointers) {
    run r;
    read_sizes(&r, sizes);
    if (!pointers) return place_backward(&r, 0);
    pointers = read_pointers(&r, pointers);
    r.carry = *pointers++, r.limit = *pointers++, r.clipped = *pointers++;
    r.outer_gradient = *pointers++;
    for (int i = 0; i < STATES; i++) r.last_gradient[i] = *pointers++;
    for (int i = 0; i < STATES; i++) r.all_records[i] = *pointers++;
    for (int k = 0; k < INPUTS; k++) r.input_gradients[k] = *pointers++;
    for (int i = 0; i < STATES; i++) r.start_gradient[i] = *pointers++;
    for (int k = 0; k < PARAMETERS; k++) r.parameter_gradients[k] = *pointers++;
    place_backward(&r, *pointers);
    fill_common(&r);
    for (int p = 0; p < PARTS; p++) {
        zero(r.sums_of[p], depth_of(&r, p) * range_of(p) * r.Hp);
        if (!is_input(p))
            pack_backward(&r, p, r.panels[p], r.H);
        else if (r.input_gradients[operands[parts[p].operand].index])
            pack_backward(&r, p, r.input_panels[p], depth_of(&r, p));
    }
    for (int s = 0; s < SEGMENTS; s++) zero(r.bias_sums[s], segments[s].columns * r.Hp);
    for (int q = 0; q < VECTORS; q++) zero(r.vector_sums[q], r.Hp);
    for (int i = 0; i < STATES; i++) zero(r.after[i], r.B * r.Hp);
    for (long t1 = r.T; t1 > 0;) {
        const long steps = r.capacity / r.B, t0 = t1 > steps ? t1 - steps : 0;
        chunk(&r, t0, t1);
        t1 = t0;
    }
    hand_out(&r);
    return 0;
}
