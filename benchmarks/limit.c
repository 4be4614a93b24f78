/* How fast can one core train this network at all? A 10-20-3 network (or -DHIDDEN), one member after another, by hand.

   Hidden ReLU units, linear outputs, mean absolute error, Adam as Keras steps it, batches of 32 with a real
   short last one, a new row order in every epoch. Sixteen numbers are one vector; a batch is two of them.
   Inputs carry a constant 1 in lane INPUTS and hidden units one in unit HIDDEN, so biases are weights.

       cc -O3 -march=native -ffast-math limit.c -lm -o limit
       ./limit job.bin FIRST COUNT

   job.bin, little endian: int32 rows, members, fit_rows, epochs; float32 x[rows][10], y[rows][3];
   int32 fit[members][fit_rows], the rows that each member trains on. Trains COUNT members from FIRST on and
   prints the wall seconds of the training alone, then each member's mean loss over its last epoch. */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef HIDDEN
#define HIDDEN 20 /* a multiple of four */
#define BLOCK 5   /* divides it, at most 5 */
#endif
enum { INPUTS = 10, OUTPUTS = 3, BATCH = 32, LANES = 16, HALVES = BATCH / LANES };

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Mask __attribute__((vector_size(4 * LANES)));
typedef float Four __attribute__((vector_size(16)));

/* Weights into a hidden unit fill one vector: inputs, bias, then zeros that stay zero. */
typedef struct {
    Vector hidden[HIDDEN];
    Four output[HIDDEN + 4]; /* unit HIDDEN is the bias; the rest rounds up to whole vectors */
} Network;
enum { VECTORS = sizeof(Network) / sizeof(Vector) };

typedef union {
    Vector half[HALVES];
    float row[BATCH];
} Column; /* one unit's values for all rows of a batch */

typedef struct {
    Network weights, momentum, velocity, gradient;
    double beta1_power, beta2_power;
    uint64_t random;
} Member;

static uint64_t draw(Member *m) { /* xorshift64* (Vigna 2016) */
    m->random ^= m->random >> 12, m->random ^= m->random << 25, m->random ^= m->random >> 27;
    return (m->random * 0x2545F4914F6CDD1DULL) >> 32;
}

static float uniform(Member *m, float limit) { return limit * (draw(m) * 0x1p-31f - 1.0f); }

static void begin(Member *m, int number) { /* he_uniform, then glorot_uniform; biases are zero */
    memset(m, 0, sizeof *m);
    m->beta1_power = m->beta2_power = 1;
    m->random = 0x9E3779B97F4A7C15ULL * (number + 1);
    for (int j = 0; j < HIDDEN; j++)
        for (int i = 0; i < INPUTS; i++) m->weights.hidden[j][i] = uniform(m, sqrtf(6.0f / INPUTS));
    for (int j = 0; j < HIDDEN; j++)
        for (int k = 0; k < OUTPUTS; k++)
            m->weights.output[j][k] = uniform(m, sqrtf(6.0f / (HIDDEN + OUTPUTS)));
}

static void shuffle(Member *m, int32_t *rows, int count) {
    for (int i = count - 1; i > 0; i--) {
        int j = draw(m) * (uint64_t)(i + 1) >> 32;
        int32_t kept = rows[i];
        rows[i] = rows[j], rows[j] = kept;
    }
}

static void adam(Member *m) {
    m->beta1_power *= 0.9, m->beta2_power *= 0.999;
    float rate = 1e-3 * sqrt(1 - m->beta2_power) / (1 - m->beta1_power);
    float *weight = (float *)&m->weights, *momentum = (float *)&m->momentum;
    float *velocity = (float *)&m->velocity, *gradient = (float *)&m->gradient;
    for (int i = 0; i < VECTORS * LANES; i++) {
        momentum[i] += (gradient[i] - momentum[i]) * 0.1f;
        velocity[i] += (gradient[i] * gradient[i] - velocity[i]) * 0.001f;
        weight[i] -= rate * momentum[i] / (sqrtf(velocity[i]) + 1e-7f);
    }
}

/* `values` where `gate` is above zero, else zero: comparing vectors gives a mask of ones. */
static inline Vector positive(Vector gate, Vector values) {
    return (Vector)((gate > 0) & (Mask)values);
}

/* One gradient step on `count` rows; their summed absolute error. Inputs are padded rows of LANES numbers. */
static float step(Member *m, const Vector *inputs, const Four *targets, const int32_t *rows, int count) {
    Vector x[BATCH];
    Column input[INPUTS], hidden[HIDDEN], slope[HIDDEN], error[OUTPUTS], target[OUTPUTS], counted;
    Four slopes[BATCH];
    const Vector scale = 1.0f / (count * OUTPUTS) - (Vector){};
    Vector losses = {};
    float loss = 0;

    for (int r = 0; r < BATCH; r++) {
        int row = rows[r < count ? r : 0];
        x[r] = inputs[row];
        counted.row[r] = r < count;
        for (int i = 0; i < INPUTS; i++) input[i].row[r] = x[r][i];
        for (int k = 0; k < OUTPUTS; k++) target[k].row[r] = targets[row][k];
    }
    for (int j = 0; j < HIDDEN; j++)
        for (int h = 0; h < HALVES; h++) {
            Vector sum = m->weights.hidden[j][INPUTS] - (Vector){};
            for (int i = 0; i < INPUTS; i++) sum += m->weights.hidden[j][i] * input[i].half[h];
            hidden[j].half[h] = positive(sum, sum);
        }
    for (int k = 0; k < OUTPUTS; k++) {
        for (int h = 0; h < HALVES; h++) {
            Vector sum = m->weights.output[HIDDEN][k] - target[k].half[h];
            for (int j = 0; j < HIDDEN; j++) sum += m->weights.output[j][k] * hidden[j].half[h];
            Vector size = positive(sum, sum) + positive(-sum, -sum);
            losses += positive(counted.half[h], size); /* now the slope of the loss, zero beyond the batch */
            error[k].half[h] = positive(counted.half[h], positive(sum, scale) - positive(-sum, scale));
        }
    }
    for (int r = 0; r < BATCH; r++)
        for (int k = 0; k < 4; k++) slopes[r][k] = k < OUTPUTS ? error[k].row[r] : 0;
    for (int j = 0; j < HIDDEN; j++)
        for (int h = 0; h < HALVES; h++) {
            Vector sum = {};
            for (int k = 0; k < OUTPUTS; k++) sum += m->weights.output[j][k] * error[k].half[h];
            slope[j].half[h] = positive(hidden[j].half[h], sum);
        }
    Four bias = {};
    for (int r = 0; r < BATCH; r++) bias += slopes[r];
    m->gradient.output[HIDDEN] = bias;
    for (int j = 0; j < HIDDEN; j += BLOCK) {
        Vector into[BLOCK] = {};
        Four out[BLOCK] = {};
        for (int r = 0; r < BATCH; r++)
#pragma GCC unroll 5
            for (int b = 0; b < BLOCK; b++) {
                into[b] += slope[j + b].row[r] * x[r];
                out[b] += hidden[j + b].row[r] * slopes[r];
            }
        for (int b = 0; b < BLOCK; b++) {
            m->gradient.hidden[j + b] = into[b];
            m->gradient.output[j + b] = out[b];
        }
    }
    adam(m);
    for (int lane = 0; lane < LANES; lane++) loss += losses[lane];
    return loss;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void *taken(FILE *file, size_t count) { /* so many four-byte numbers */
    void *values = malloc(4 * count);
    if (!values || fread(values, 4, count, file) != count) {
        fprintf(stderr, "Expected %zu more numbers in the job file. Write it anew.\n", count);
        exit(1);
    }
    return values;
}

int main(int argc, char **argv) {
    FILE *file = argc == 4 ? fopen(argv[1], "rb") : NULL;
    if (!file) {
        fprintf(stderr, "Expected a readable job file, the first member and how many: limit job.bin 0 10\n");
        return 1;
    }
    int first = atoi(argv[2]), count = atoi(argv[3]);
    int32_t *sizes = taken(file, 4), rows = sizes[0], members = sizes[1], fit_rows = sizes[2];
    float *x = taken(file, (size_t)rows * INPUTS), *y = taken(file, (size_t)rows * OUTPUTS);
    int32_t *fit = taken(file, (size_t)members * fit_rows);
    Vector *inputs = aligned_alloc(64, rows * sizeof *inputs);
    Four *targets = aligned_alloc(64, (rows + 3) / 4 * 64);
    float *losses = malloc(count * sizeof *losses);
    for (int r = 0; r < rows; r++) {
        for (int i = 0; i < LANES; i++) inputs[r][i] = i < INPUTS ? x[r * INPUTS + i] : i == INPUTS;
        for (int k = 0; k < 4; k++) targets[r][k] = k < OUTPUTS ? y[r * OUTPUTS + k] : 0;
    }
    static Member member;
    double began = now();
    for (int n = 0; n < count; n++) {
        int32_t *own = fit + (size_t)(first + n) * fit_rows;
        begin(&member, first + n);
        for (int epoch = 0; epoch < sizes[3]; epoch++) {
            double sum = 0;
            shuffle(&member, own, fit_rows);
            for (int start = 0; start < fit_rows; start += BATCH) {
                int here = fit_rows - start < BATCH ? fit_rows - start : BATCH;
                sum += step(&member, inputs, targets, own + start, here);
            }
            losses[n] = sum / ((double)fit_rows * OUTPUTS);
        }
    }
    printf("%.9f\n", now() - began);
    for (int n = 0; n < count; n++) printf("%.6f\n", losses[n]);
    return 0;
}
