/* One SIMD vector of REAL (float or double), as wide as the processor has them, and the elementary
   functions on it, in the vector extension that gcc and clang share. Nothing here needs an option of
   the -ffast-math family, so infinities and NaN behave as IEEE 754 says; so do subnormal numbers where
   they are not flushed to zero (calls.h). */

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define BYTES 64
#define REGISTERS 32
#elif defined(__AVX__)
#define BYTES 32
#define REGISTERS 16
#elif defined(__x86_64__)
#define BYTES 16
#define REGISTERS 16
#else
#define BYTES 16
#define REGISTERS 32
#endif

#define INLINE static inline __attribute__((always_inline, unused))
#define LANES ((long)(BYTES / sizeof(REAL)))
#define N(number) ((REAL)(number))

#if DOUBLE
typedef int64_t integer;
#define MANTISSA 52
#define BIAS 1023
#else
typedef int32_t integer;
#define MANTISSA 23
#define BIAS 127
#endif

typedef REAL vec __attribute__((vector_size(BYTES)));
typedef integer mask __attribute__((vector_size(BYTES)));
typedef REAL loose __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));

INLINE vec load(const REAL *p) { return *(const loose *)p; }
INLINE void store(REAL *p, vec a) { *(loose *)p = a; }
INLINE vec all(REAL a) { return a - (vec){0}; }
INLINE vec choose(mask where, vec yes, vec no) {
    return (vec)((where & (mask)yes) | (~where & (mask)no));
}

/* The first n lanes, n at most LANES. */
INLINE mask below(long n) {
    static const integer edge[32] = {
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    typedef mask anywhere __attribute__((aligned(sizeof(REAL)), may_alias));
    return *(const anywhere *)(edge + (16 - (n < LANES ? n : LANES)));
}
INLINE vec only(mask where, vec a) { return (vec)(where & (mask)a); }

/* n numbers at p, in an array that stops at `end`. The last vector of a row may reach into the next
   row: what is read there is not used, and what is written there is what was there. Copied one by one
   only where it would reach past the array, because a vector cannot be loaded from numbers that were
   just stored singly without a long wait. */
INLINE vec load_some(const REAL *p, long n, const REAL *end) {
    if (n >= LANES || p + LANES <= end) return load(p);
    vec a = {0};
    for (long i = 0; i < n; i++) a[i] = p[i];
    return a;
}
INLINE void store_some(REAL *p, vec a, long n, const REAL *end) {
    if (n >= LANES)
        store(p, a);
    else if (p + LANES <= end)
        store(p, choose(below(n), a, load(p)));
    else
        for (long i = 0; i < n; i++) p[i] = a[i];
}

/* a = n ln 2 + r with |r| <= ln 2 / 2. Adding 1.5 * 2^MANTISSA rounds to a whole number and leaves it
   in the low bits. ln 2 in two parts, the first with trailing zeros, so that n * LN2_HIGH is exact. */
#if DOUBLE
#define ROUNDER 6755399441055744.0
#define LN2_HIGH 6.93145751953125e-1
#define LN2_LOW 1.42860682030941723212e-6
#else
#define ROUNDER 12582912.0f
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f
#endif
#define LOG2_E 1.4426950408889634

typedef struct {
    vec n, bits, power; /* n as a number, n in the low bits, e^r - 1 */
} reduced;

INLINE reduced reduce(vec a) {
    reduced out;
    out.bits = a * N(LOG2_E) + N(ROUNDER);
    out.n = out.bits - N(ROUNDER);
    const vec r = (a - out.n * N(LN2_HIGH)) - out.n * N(LN2_LOW);
#if DOUBLE /* Taylor; the first term left out is below 5e-18 of the result at ln 2 / 2 */
    vec p = all(N(1.0 / 6227020800.0));
    p = p * r + N(1.0 / 479001600.0);
    p = p * r + N(1.0 / 39916800.0);
    p = p * r + N(1.0 / 3628800.0);
    p = p * r + N(1.0 / 362880.0);
    p = p * r + N(1.0 / 40320.0);
    p = p * r + N(1.0 / 5040.0);
    p = p * r + N(1.0 / 720.0);
    p = p * r + N(1.0 / 120.0);
    p = p * r + N(1.0 / 24.0);
    p = p * r + N(1.0 / 6.0);
    p = p * r + N(0.5);
#else /* Cephes, expf.c */
    vec p = all(N(1.9875691500e-4));
    p = p * r + N(1.3981999507e-3);
    p = p * r + N(8.3334519073e-3);
    p = p * r + N(4.1665795894e-2);
    p = p * r + N(1.6666665459e-1);
    p = p * r + N(5.0000001201e-1);
#endif
    out.power = p * (r * r) + r;
    return out;
}

/* 2^n, n whole, as whole_of gives it. From -BIAS + 1, the smallest, to BIAS + 1, infinity. */
INLINE mask whole_of(vec bits) { return (mask)bits - (mask)all(N(ROUNDER)); }
INLINE vec two_to(mask n) { return (vec)((n + BIAS) << MANTISSA); }

/* Beyond these e^a is 0 or infinite. Comparisons are false for NaN, which passes. */
#define LOWEST (DOUBLE ? N(-746) : N(-104))
#define HIGHEST (DOUBLE ? N(710) : N(89))

INLINE vec exp_(vec a) {
    a = choose(a < LOWEST, all(LOWEST), choose(a > HIGHEST, all(HIGHEST), a));
    const reduced e = reduce(a);
    const mask n = whole_of(e.bits), half = n >> 1; /* in two steps, to reach subnormal results */
    return (e.power + N(1)) * two_to(half) * two_to(n - half);
}

/* 2^n (e^r - 1) + (2^n - 1) does not cancel. Below -40 (-20 in float) the result rounds to -1. */
INLINE vec expm1_(vec a) {
    const vec least = all(DOUBLE ? N(-40) : N(-20));
    const vec b = choose(a < least, least, choose(a > HIGHEST, all(HIGHEST), a));
    const reduced e = reduce(b);
    const mask n = whole_of(e.bits), half = n >> 1;
    const vec low = two_to(half), high = two_to(n - half);
    const vec whole = (e.power + N(1)) * low * high; /* from 40 on; low * high may be infinite */
    const vec result = choose(a > N(40), whole, (e.power * low) * high + (low * high - N(1)));
    return choose(a == N(0), a, result);
}

/* 1 / (1 + e^-a), not (1 + tanh(a / 2)) / 2: a gate that is nearly shut keeps its relative accuracy.
   e^-a below the smallest normal number adds nothing to 1; above, 2^n is 2 * 2^(n - 1). */
INLINE vec sigmoid_(vec a) {
    const vec least = all(DOUBLE ? N(-708) : N(-87)), most = all(HIGHEST);
    const vec b = choose(-a < least, least, choose(-a > most, most, -a));
    const reduced e = reduce(b);
    const vec p = e.power + N(1);
    return N(1) / (N(1) + (p + p) * two_to(whole_of(e.bits) - 1));
}

/* With m = e^(2|a|) - 1, tanh |a| = m / (m + 2). m = 2^n (e^r - 1) + (2^n - 1) does not cancel and is
   2|a| for the smallest a. From |a| = 20 on (10 in float) the result rounds to 1. */
INLINE vec tanh_(vec a) {
    const mask sign = (mask)all(-N(0)) & (mask)a;
    const vec size = (vec)((mask)a ^ sign), most = all(DOUBLE ? N(40) : N(20));
    const vec twice = size + size;
    const reduced e = reduce(choose(twice > most, most, twice));
    const vec scale = two_to(whole_of(e.bits)), m = scale * e.power + (scale - N(1));
    return (vec)((mask)(m / (m + N(2))) | sign);
}

/* A NaN is not <= 0 and stays, as in torch. */
INLINE vec relu_(vec a) { return choose(a <= N(0), all(N(0)), a); }
INLINE vec relu_pullback(vec value, vec bar) { return choose(value <= N(0), all(N(0)), bar); }
INLINE vec step_(vec a) {
    return choose(a > N(0), all(N(1)), choose(a <= N(0), all(N(0)), a));
}

/* a = 2^n m with m in [1/sqrt 2, sqrt 2); log m = 2 atanh(s), s = (m - 1)/(m + 1), |s| <= 0.172. */
INLINE vec log_(vec a) {
    const vec tiny = all(DOUBLE ? N(2.2250738585072014e-308) : N(1.17549435e-38));
    const REAL lift = DOUBLE ? N(18014398509481984.0) : N(33554432.0); /* 2^54, 2^25 */
    const mask subnormal = (mask)(a < tiny);
    const mask bits = (mask)choose(subnormal, a * lift, a);
    const mask above = bits - (mask)all(N(0.70710678118654752));
    const mask n = above >> MANTISSA;
    const vec m = (vec)(bits - (n << MANTISSA)), s = (m - N(1)) / (m + N(1)), z = s * s;
    vec p = all(N(DOUBLE ? 1.0 / 21 : 1.0 / 11));
#if DOUBLE
    p = p * z + N(1.0 / 19);
    p = p * z + N(1.0 / 17);
    p = p * z + N(1.0 / 15);
    p = p * z + N(1.0 / 13);
    p = p * z + N(1.0 / 11);
#endif
    p = p * z + N(1.0 / 9);
    p = p * z + N(1.0 / 7);
    p = p * z + N(1.0 / 5);
    p = p * z + N(1.0 / 3);
    const vec whole = (vec)((mask)all(N(ROUNDER)) + n) - N(ROUNDER) -
                      only(subnormal, all(N(DOUBLE ? 54 : 25)));
    const vec log_m = N(2) * (s + s * z * p);
    const vec result = whole * N(LN2_HIGH) + (whole * N(LN2_LOW) + log_m);
    const vec none = all(N(0)), infinite = all(N(1) / N(0));
    return choose(a > none, choose(a == infinite, a, result),
                  choose(a == none, -infinite, choose(a < none, (a - a) / none, a)));
}

/* max(a, 0) + log(1 + e), e = e^-|a|. With u = 1 + e rounded, log(u) e/(u - 1) is log(1 + e) to the
   last bits (Goldberg 1991, theorem 4); where e adds nothing to 1 it is e. */
INLINE vec softplus_(vec a) {
    const mask sign = (mask)all(-N(0));
    const vec e = exp_((vec)((mask)a | sign)), u = e + N(1), d = u - N(1);
    const vec tail = choose(d == N(0), e, log_(u) * (e / d));
    return choose(a > N(0), a, choose(a <= N(0), all(N(0)), a)) + tail;
}

INLINE vec hardtanh_(vec a) {
    return choose(a > N(1), all(N(1)), choose(a < N(-1), all(N(-1)), a));
}
INLINE vec hardtanh_pullback(vec value, vec bar) {
    return choose((mask)(value >= N(1)) | (mask)(value <= N(-1)), all(N(0)), bar);
}

/* Beyond 2^MANTISSA every number is whole. */
INLINE vec floor_(vec a) {
    const mask sign = (mask)all(-N(0)) & (mask)a;
    const vec size = (vec)((mask)a ^ sign), large = all(N(1LL << MANTISSA));
    const vec near = (vec)((mask)((size + large) - large) | sign);
    const vec down = near - only(near > a, all(N(1)));
    return choose(size < large, down, a);
}

/* Of the C library, one lane at a time. */
#define LANEWISE(name, function)                                        \
    INLINE vec name(vec a) {                                            \
        for (long i = 0; i < LANES; i++) a[i] = (REAL)function(a[i]);   \
        return a;                                                       \
    }
LANEWISE(sin_, __builtin_sin)
LANEWISE(cos_, __builtin_cos)
LANEWISE(erf_, __builtin_erf)
