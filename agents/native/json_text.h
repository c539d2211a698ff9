// The lexical half of JSON (RFC 8259), strict: strings in UTF-8, numbers by the grammar, white space. Nothing here allocates.
#ifndef HEADWATER_JSON_TEXT_H
#define HEADWATER_JSON_TEXT_H

#include "heap.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} Cursor;

typedef struct {
    const uint8_t *start;
    int64_t size;
    bool has_escape;
} Text;

typedef struct {
    const uint8_t *start;
    int64_t size;
    bool is_whole;  // neither fraction nor exponent
} Number;

static inline void skip_space(Cursor *cursor) {
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\n' || *cursor->at == '\t' || *cursor->at == '\r')) cursor->at++;
}

static inline bool take_byte(Cursor *cursor, uint8_t wanted) {
    if (cursor->at >= cursor->end || *cursor->at != wanted) return false;
    cursor->at++;
    return true;
}

static inline bool take_word(Cursor *cursor, const char *word, int64_t size) {
    if (cursor->end - cursor->at < size || memcmp(cursor->at, word, (size_t)size) != 0) return false;
    cursor->at += size;
    return true;
}

// No overlong forms, no surrogates, nothing beyond U+10FFFF (Unicode 15, table 3-7).
static bool is_utf8(const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        uint8_t first = *at++;
        if (first < 0x80) continue;
        uint8_t low = 0x80, high = 0xBF;
        int more;
        if (first >= 0xC2 && first <= 0xDF) {
            more = 1;
        } else if (first >= 0xE0 && first <= 0xEF) {
            more = 2;
            if (first == 0xE0) low = 0xA0;
            if (first == 0xED) high = 0x9F;
        } else if (first >= 0xF0 && first <= 0xF4) {
            more = 3;
            if (first == 0xF0) low = 0x90;
            if (first == 0xF4) high = 0x8F;
        } else {
            return false;
        }
        if (end - at < more || *at < low || *at > high) return false;
        for (int number = 1; number < more; number++)
            if ((at[number] & 0xC0) != 0x80) return false;
        at += more;
    }
    return true;
}

static inline bool is_hexadecimal(uint8_t letter) {
    return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f') || (letter >= 'A' && letter <= 'F');
}

static inline bool is_escape(const uint8_t *at, const uint8_t *end, int *size) {
    if (end - at < 2) return false;
    switch (at[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        *size = 2;
        return true;
    case 'u':
        *size = 6;
        return end - at >= 6 && is_hexadecimal(at[2]) && is_hexadecimal(at[3]) && is_hexadecimal(at[4]) && is_hexadecimal(at[5]);
    default:
        return false;
    }
}

// The cursor stands behind the opening quote; it is left behind the closing one.
static inline bool take_text(Cursor *cursor, Text *text) {
    const uint8_t *at = cursor->at, *end = cursor->end;
    bool is_ascii = true;
    text->start = at;
    text->has_escape = false;
    for (;;) {
#if defined(__SSE2__)
        while (end - at >= 16) {
            __m128i block = _mm_loadu_si128((const __m128i *)at);
            // Below 0x20 as unsigned: the least of it and 0x1F is itself.
            __m128i special = _mm_or_si128(
                _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('"')), _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'))),
                _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1F)), block));
            int found = _mm_movemask_epi8(special), high = _mm_movemask_epi8(block);
            if (found) {
                int place = __builtin_ctz((unsigned)found);
                if (high & ((1 << place) - 1)) is_ascii = false;
                at += place;
                break;
            }
            if (high) is_ascii = false;
            at += 16;
        }
#endif
        while (at < end && *at != '"' && *at != '\\' && *at >= 0x20) {
            if (*at >= 0x80) is_ascii = false;
            at++;
        }
        if (at >= end || *at < 0x20) return false;
        if (*at == '"') break;
        int size;
        if (!is_escape(at, end, &size)) return false;
        text->has_escape = true;
        at += size;
    }
    text->size = at - text->start;
    cursor->at = at + 1;
    return is_ascii || is_utf8(text->start, at);
}

static inline bool take_number(Cursor *cursor, Number *number) {
    const uint8_t *at = cursor->at, *end = cursor->end;
    number->start = at;
    number->is_whole = true;
    if (at < end && *at == '-') at++;
    if (at >= end || *at < '0' || *at > '9') return false;
    if (*at == '0') {
        at++;
    } else {
        while (at < end && *at >= '0' && *at <= '9') at++;
    }
    if (at < end && *at == '.') {
        number->is_whole = false;
        const uint8_t *digits = ++at;
        while (at < end && *at >= '0' && *at <= '9') at++;
        if (at == digits) return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        number->is_whole = false;
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        const uint8_t *digits = at;
        while (at < end && *at >= '0' && *at <= '9') at++;
        if (at == digits) return false;
    }
    number->size = at - number->start;
    cursor->at = at;
    return true;
}

static inline uint32_t read_hexadecimal(const uint8_t *at) {
    uint32_t code = 0;
    for (int place = 0; place < 4; place++) {
        uint8_t letter = at[place];
        code = code << 4 | (letter <= '9' ? letter - '0' + 0u : (letter | 0x20) - 'a' + 10u);
    }
    return code;
}

// Write the text with its escapes resolved; false for half of a surrogate pair. `to` has room for text.size bytes.
static inline bool resolve_escapes(const Text *text, uint8_t *to, int64_t *size) {
    const uint8_t *at = text->start, *end = at + text->size;
    uint8_t *start = to;
    while (at < end) {
        const uint8_t *escape = memchr(at, '\\', (size_t)(end - at));
        int64_t plain = (escape ? escape : end) - at;
        memcpy(to, at, (size_t)plain);
        to += plain;
        if (!escape) break;
        at = escape + 2;
        switch (escape[1]) {
        case 'b': *to++ = '\b'; break;
        case 'f': *to++ = '\f'; break;
        case 'n': *to++ = '\n'; break;
        case 'r': *to++ = '\r'; break;
        case 't': *to++ = '\t'; break;
        case 'u': {
            uint32_t code = read_hexadecimal(escape + 2);
            at = escape + 6;
            if (code >= 0xD800 && code < 0xE000) {
                if (code >= 0xDC00 || end - at < 6 || at[0] != '\\' || at[1] != 'u') return false;
                uint32_t second = read_hexadecimal(at + 2);
                if (second < 0xDC00 || second >= 0xE000) return false;
                code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
                at += 6;
            }
            if (code < 0x80) {
                *to++ = (uint8_t)code;
            } else if (code < 0x800) {
                *to++ = (uint8_t)(0xC0 | code >> 6);
                *to++ = (uint8_t)(0x80 | (code & 0x3F));
            } else if (code < 0x10000) {
                *to++ = (uint8_t)(0xE0 | code >> 12);
                *to++ = (uint8_t)(0x80 | (code >> 6 & 0x3F));
                *to++ = (uint8_t)(0x80 | (code & 0x3F));
            } else {
                *to++ = (uint8_t)(0xF0 | code >> 18);
                *to++ = (uint8_t)(0x80 | (code >> 12 & 0x3F));
                *to++ = (uint8_t)(0x80 | (code >> 6 & 0x3F));
                *to++ = (uint8_t)(0x80 | (code & 0x3F));
            }
            break;
        }
        default: *to++ = escape[1];
        }
    }
    *size = to - start;
    return true;
}

// The whole number of at most 15 digits that the literal says.
static inline bool read_whole(const Number *number, int64_t *value) {
    bool is_negative = number->start[0] == '-';
    int64_t digits = number->size - is_negative;
    if (!number->is_whole || digits > 15) return false;
    int64_t read = 0;
    for (int64_t place = is_negative; place < number->size; place++) read = read * 10 + (number->start[place] - '0');
    *value = is_negative ? -read : read;
    return true;
}

// The 64-bit float next to the literal; false where it is beyond one.
static inline bool read_float(const Number *number, double *value) {
    static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    int64_t whole;
    if (read_whole(number, &whole)) {
        *value = (double)whole;
        return true;
    }
    // A mantissa below 2^53 and a power of ten up to 22 are both exact, so one division rounds once (Clinger 1990).
    bool is_negative = number->start[0] == '-';
    int64_t mantissa = 0;
    int digits = 0, fraction = 0;
    bool is_plain = true, is_behind_point = false;
    for (int64_t place = is_negative; place < number->size && is_plain; place++) {
        uint8_t letter = number->start[place];
        if (letter == '.') {
            is_behind_point = true;
        } else if (letter >= '0' && letter <= '9') {
            mantissa = mantissa * 10 + (letter - '0');
            fraction += is_behind_point;
            is_plain = ++digits <= 15;
        } else {
            is_plain = false;
        }
    }
    if (is_plain) {
        double read = (double)mantissa / POWERS[fraction];
        *value = is_negative ? -read : read;
        return true;
    }
    char small[128];
    char *copy = number->size < (int64_t)sizeof small ? small : malloc((size_t)number->size + 1);
    if (!copy) return false;
    memcpy(copy, number->start, (size_t)number->size);
    copy[number->size] = 0;
    char *stop;
    *value = strtod(copy, &stop);
    bool is_read = stop == copy + number->size && *value - *value == 0;
    if (copy != small) free(copy);
    return is_read;
}

#endif
