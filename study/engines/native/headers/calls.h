/* What is called from outside. During a call numbers below the smallest normal one (1.2e-38 in float,
   2.2e-308 in double) are read and written as zero, where the processor has such a mode: it takes a
   hundred times as long over one of them, and a gradient that vanishes is made of them. The mode
   belongs to the calling thread, which gets its own back before the call returns. */

#if defined(__x86_64__)
typedef unsigned int control; /* MXCSR: FTZ, and DAZ, which every processor with SSE3 has */
#ifdef __SSE3__
#define FLUSHING 0x8040u
#else
#define FLUSHING 0x8000u
#endif
INLINE control read_control(void) {
    control c;
    __asm__ volatile("stmxcsr %0" : "=m"(c) : : "memory");
    return c;
}
INLINE void write_control(control c) { __asm__ volatile("ldmxcsr %0" : : "m"(c) : "memory"); }
#elif defined(__aarch64__)
typedef uint64_t control; /* FPCR: FZ */
#define FLUSHING ((control)1 << 24)
INLINE control read_control(void) {
    control c;
    __asm__ volatile("mrs %0, fpcr" : "=r"(c) : : "memory");
    return c;
}
INLINE void write_control(control c) { __asm__ volatile("msr fpcr, %0" : : "r"(c) : "memory"); }
#else
typedef int control;
#define FLUSHING 0
INLINE control read_control(void) { return 0; }
INLINE void write_control(control c) { (void)c; }
#endif

/* A function of its own, so that no arithmetic of the pass is moved past the change of mode. */
typedef int64_t pass(const int64_t *sizes, void *const *pointers);
static __attribute__((noinline)) int64_t flushing(pass *made, const int64_t *sizes,
                                                  void *const *pointers) {
    const control before = read_control();
    write_control(before | FLUSHING);
    const int64_t found = made(sizes, pointers);
    write_control(before);
    return found;
}

/* Pointers as the passes say; without them: the workspace's size in bytes. */
int64_t forward(const int64_t *sizes, void *const *pointers) {
    return flushing(forward_pass, sizes, pointers);
}
int64_t backward(const int64_t *sizes, void *const *pointers) {
    return flushing(backward_pass, sizes, pointers);
}

/* The table of tiles.h; given before the first pass. */
void use(const void *tiles) { products = tiles; }

/* Numbers that the slots of one step take. */
int64_t slots(const int64_t *sizes) {
    run r;
    read_sizes(&r, sizes);
    return r.B * r.Hp * SLOTS;
}
int64_t padded(const int64_t *sizes) {
    run r;
    read_sizes(&r, sizes);
    return r.Hp;
}
