//! Sixteen `f32` side by side, on AVX-512, AVX2 with FMA, NEON or plain arrays.
//!
//! A kernel is written once against [`Lanes`] and compiled for each instruction set; [`Level`] chooses at run time. All
//! sets have sixteen lanes, multiply and add with one rounding, and add up in the same order, so they give the same
//! bits.

use std::fmt;
use std::sync::OnceLock;

/// Number of lanes.
pub const W: usize = 16;

/// The environment variable that chooses the instruction set.
pub const VARIABLE: &str = "MACLIP_SIMD";

/// Sixteen `f32`.
///
/// # Safety
/// The methods are unsafe as a whole: the processor must have the instructions of the implementing type (see [`run`]),
/// pointers must be valid for sixteen values, or for `count` ≤ 16 values where one is given.
pub(crate) trait Lanes: Copy {
    /// Rows of the accumulators of one tile of a matrix product.
    const ROWS: usize;
    /// Vectors in each of these rows. A tile needs `ROWS · VECTORS` registers of sixteen lanes, and a few more.
    const VECTORS: usize;
    unsafe fn load(from: *const f32) -> Self;
    /// The first `count` values, and zeros.
    unsafe fn load_part(from: *const f32, count: usize) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// The first `count` lanes.
    unsafe fn store_part(self, to: *mut f32, count: usize);
    unsafe fn splat(value: f32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    /// The larger one; `other` where one of them is not a number.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller one; `other` where one of them is not a number.
    unsafe fn min(self, other: Self) -> Self;
    /// self · b + c, rounded once.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    unsafe fn abs(self) -> Self;
    /// 2ⁿ, for self = n + 1.5 · 2²³ with −127 < n < 128.
    unsafe fn pow2(self) -> Self;

    /// Asks for the line of the cache at this address, which need not be valid.
    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}

    /// Stores the four lanes with index k side by side at `to + k · distance`, for all k.
    #[inline(always)]
    unsafe fn store_across(four: [Self; 4], to: *mut f32, distance: usize) {
        for (row, values) in four.into_iter().enumerate() {
            for (k, value) in unsafe { values.lanes() }.into_iter().enumerate() {
                unsafe { *to.add(k * distance + row) = value };
            }
        }
    }

    /// The lanes as numbers.
    #[inline(always)]
    unsafe fn lanes(self) -> [f32; W] {
        let mut out = [0.0; W];
        unsafe { self.store(out.as_mut_ptr()) };
        out
    }

    /// The sum of all lanes, always in this order.
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let l = unsafe { self.lanes() };
        let four = |i: usize| (l[i] + l[i + 8]) + (l[i + 4] + l[i + 12]);
        (four(0) + four(2)) + (four(1) + four(3))
    }

    /// The largest lane; anything where one of them is not a number.
    #[inline(always)]
    unsafe fn highest(self) -> f32 {
        let mut l = unsafe { self.lanes() };
        // By halves, which the compiler makes four instructions of.
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                l[i] = if l[i] > l[i + half] { l[i] } else { l[i + half] };
            }
        }
        l[0]
    }

    /// The first `count` values: all sixteen with one instruction.
    #[inline(always)]
    unsafe fn load_up_to(from: *const f32, count: usize) -> Self {
        unsafe { if count >= W { Self::load(from) } else { Self::load_part(from, count) } }
    }

    /// The first `count` lanes: all sixteen with one instruction.
    #[inline(always)]
    unsafe fn store_up_to(self, to: *mut f32, count: usize) {
        unsafe { if count >= W { self.store(to) } else { self.store_part(to, count) } }
    }
}

/// Plain arrays, for processors without one of the others.
#[derive(Clone, Copy)]
pub struct Plain([f32; W]);

macro_rules! plain {
    ($($name:ident($a:ident $(, $b:ident)*) $body:expr;)*) => {
        $(#[inline(always)] unsafe fn $name(self $(, $b: Self)*) -> Self {
            Self(std::array::from_fn(|i| { let $a = self.0[i]; $(let $b = $b.0[i];)* $body }))
        })*
    };
}

impl Lanes for Plain {
    const ROWS: usize = 4;
    const VECTORS: usize = 1;
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // Safety: the caller's pointer is valid for sixteen values.
        Self(unsafe { from.cast::<[f32; W]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Self {
        // Safety: only the first `count` values are read.
        Self(std::array::from_fn(|i| if i < count { unsafe { *from.add(i) } } else { 0.0 }))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // Safety: the caller's pointer is valid for sixteen values.
        unsafe { to.cast::<[f32; W]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        // Safety: only the first `count` values are written.
        (0..count).for_each(|i| unsafe { *to.add(i) = self.0[i] });
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; W])
    }
    plain! {
        add(a, o) a + o; sub(a, o) a - o; mul(a, o) a * o; div(a, o) a / o;
        max(a, o) if a > o { a } else { o }; min(a, o) if a < o { a } else { o };
        fma(a, b, c) a.mul_add(b, c); abs(a) a.abs();
        pow2(a) f32::from_bits((a.to_bits() << 23).wrapping_add(127 << 23));
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, W};
    use std::arch::x86_64::*;

    /// AVX-512.
    #[derive(Clone, Copy)]
    pub struct V4(__m512);
    /// AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub struct V3(__m256, __m256);

    macro_rules! v4 { ($($name:ident($($b:ident),*) |$a:ident| $body:expr;)*) => {
        // Safety: arithmetic on registers; the caller's processor has AVX-512.
        $(#[inline(always)] unsafe fn $name(self $(, $b: Self)*) -> Self {
            let $a = self.0;
            $(let $b = $b.0;)*
            unsafe { Self($body) }
        })*
    } }

    fn mask(count: usize) -> __mmask16 {
        ((1u32 << count) - 1) as __mmask16
    }

    /// Four vectors with the lanes of each 128 bits turned, as parts of 128 bits that go to `to + k · distance`.
    macro_rules! store_across {
        ($four:expr, $to:expr, $distance:expr, $low:ident, $high:ident, $low_pair:ident, $high_pair:ident, $pairs:ident,
         $singles:ident, $extract:ident, [$($part:literal),*]) => {
            let [a, b, c, d] = $four;
            let [ab, cd] = [$pairs($low(a, b)), $pairs($low(c, d))];
            let [ab_high, cd_high] = [$pairs($high(a, b)), $pairs($high(c, d))];
            let turned = [$low_pair(ab, cd), $high_pair(ab, cd), $low_pair(ab_high, cd_high), $high_pair(ab_high, cd_high)];
            for (k, values) in turned.into_iter().enumerate() {
                $(_mm_storeu_ps($to.add((4 * $part + k) * $distance), $extract::<$part>($singles(values)));)*
            }
        };
    }

    impl Lanes for V4 {
        const ROWS: usize = 12;
        const VECTORS: usize = 2;
        #[inline(always)]
        unsafe fn prefetch(from: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store_across([a, b, c, d]: [Self; 4], to: *mut f32, distance: usize) {
            unsafe {
                store_across!(
                    [a.0, b.0, c.0, d.0],
                    to,
                    distance,
                    _mm512_unpacklo_ps,
                    _mm512_unpackhi_ps,
                    _mm512_unpacklo_pd,
                    _mm512_unpackhi_pd,
                    _mm512_castps_pd,
                    _mm512_castpd_ps,
                    _mm512_extractf32x4_ps,
                    [0, 1, 2, 3]
                );
            }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm512_loadu_ps(from)) }
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, count: usize) -> Self {
            unsafe { Self(_mm512_maskz_loadu_ps(mask(count), from)) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, count: usize) {
            unsafe { _mm512_mask_storeu_ps(to, mask(count), self.0) }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Self(_mm512_set1_ps(value)) }
        }
        v4! {
            add(o) |a| _mm512_add_ps(a, o); sub(o) |a| _mm512_sub_ps(a, o); mul(o) |a| _mm512_mul_ps(a, o);
            div(o) |a| _mm512_div_ps(a, o); max(o) |a| _mm512_max_ps(a, o); min(o) |a| _mm512_min_ps(a, o);
            fma(b, c) |a| _mm512_fmadd_ps(a, b, c); abs() |a| _mm512_abs_ps(a);
            pow2() |a| _mm512_castsi512_ps(_mm512_add_epi32(
                _mm512_slli_epi32::<23>(_mm512_castps_si512(a)), _mm512_set1_epi32(127 << 23)));
        }
    }

    macro_rules! v3 { ($($name:ident($($b:ident),*) |$a:ident| $body:expr;)*) => {
        // Safety: arithmetic on registers; the caller's processor has AVX2 and FMA.
        $(#[inline(always)] unsafe fn $name(self $(, $b: Self)*) -> Self {
            let part = |$a: __m256 $(, $b: __m256)*| unsafe { $body };
            Self(part(self.0 $(, $b.0)*), part(self.1 $(, $b.1)*))
        })*
    } }

    /// Two masks for the first `count` of sixteen lanes.
    #[inline(always)]
    unsafe fn masks(count: usize) -> [__m256i; 2] {
        unsafe {
            let count = _mm256_set1_epi32(count as i32);
            let low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            let high = _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15);
            [_mm256_cmpgt_epi32(count, low), _mm256_cmpgt_epi32(count, high)]
        }
    }

    impl Lanes for V3 {
        const ROWS: usize = 6;
        const VECTORS: usize = 1;
        #[inline(always)]
        unsafe fn prefetch(from: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store_across([a, b, c, d]: [Self; 4], to: *mut f32, distance: usize) {
            unsafe {
                for (four, to) in [([a.0, b.0, c.0, d.0], to), ([a.1, b.1, c.1, d.1], to.add(W / 2 * distance))] {
                    store_across!(
                        four,
                        to,
                        distance,
                        _mm256_unpacklo_ps,
                        _mm256_unpackhi_ps,
                        _mm256_unpacklo_pd,
                        _mm256_unpackhi_pd,
                        _mm256_castps_pd,
                        _mm256_castpd_ps,
                        _mm256_extractf128_ps,
                        [0, 1]
                    );
                }
            }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(W / 2))) }
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, count: usize) -> Self {
            unsafe {
                let [low, high] = masks(count);
                // The address of the second half may lie behind the values; masked lanes are not touched.
                Self(_mm256_maskload_ps(from, low), _mm256_maskload_ps(from.wrapping_add(W / 2), high))
            }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                _mm256_storeu_ps(to, self.0);
                _mm256_storeu_ps(to.add(W / 2), self.1)
            }
        }
        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, count: usize) {
            unsafe {
                let [low, high] = masks(count);
                _mm256_maskstore_ps(to, low, self.0);
                _mm256_maskstore_ps(to.wrapping_add(W / 2), high, self.1)
            }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }
        v3! {
            add(o) |a| _mm256_add_ps(a, o); sub(o) |a| _mm256_sub_ps(a, o); mul(o) |a| _mm256_mul_ps(a, o);
            div(o) |a| _mm256_div_ps(a, o); max(o) |a| _mm256_max_ps(a, o); min(o) |a| _mm256_min_ps(a, o);
            fma(b, c) |a| _mm256_fmadd_ps(a, b, c); abs() |a| _mm256_andnot_ps(_mm256_set1_ps(-0.0), a);
            pow2() |a| _mm256_castsi256_ps(_mm256_add_epi32(
                _mm256_slli_epi32::<23>(_mm256_castps_si256(a)), _mm256_set1_epi32(127 << 23)));
        }
    }

    /// # Safety
    /// The processor has these instructions.
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
    pub unsafe fn v4<K: super::Kernel>(kernel: K) -> K::Out {
        unsafe { kernel.call::<V4>() }
    }

    /// # Safety
    /// The processor has these instructions.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn v3<K: super::Kernel>(kernel: K) -> K::Out {
        unsafe { kernel.call::<V3>() }
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::{Lanes, W};
    use std::arch::aarch64::*;

    /// NEON.
    #[derive(Clone, Copy)]
    pub struct Neon([float32x4_t; 4]);

    macro_rules! neon { ($($name:ident($($b:ident),*) |$a:ident| $body:expr;)*) => {
        // Safety: arithmetic on registers; every aarch64 processor has NEON.
        $(#[inline(always)] unsafe fn $name(self $(, $b: Self)*) -> Self {
            Self(std::array::from_fn(|i| { let $a = self.0[i]; $(let $b = $b.0[i];)* unsafe { $body } }))
        })*
    } }

    impl Lanes for Neon {
        const ROWS: usize = 6;
        const VECTORS: usize = 1;
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(std::array::from_fn(|i| unsafe { vld1q_f32(from.add(4 * i)) }))
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, count: usize) -> Self {
            let mut values = [0.0; W];
            unsafe {
                std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), count);
                Self::load(values.as_ptr())
            }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            (0..4).for_each(|i| unsafe { vst1q_f32(to.add(4 * i), self.0[i]) });
        }
        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, count: usize) {
            unsafe { std::ptr::copy_nonoverlapping(self.lanes().as_ptr(), to, count) };
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            Self([unsafe { vdupq_n_f32(value) }; 4])
        }
        neon! {
            add(o) |a| vaddq_f32(a, o); sub(o) |a| vsubq_f32(a, o); mul(o) |a| vmulq_f32(a, o);
            div(o) |a| vdivq_f32(a, o);
            max(o) |a| vbslq_f32(vcgtq_f32(a, o), a, o); min(o) |a| vbslq_f32(vcltq_f32(a, o), a, o);
            fma(b, c) |a| vfmaq_f32(c, a, b); abs() |a| vabsq_f32(a);
            pow2() |a| vreinterpretq_f32_s32(vaddq_s32(vshlq_n_s32::<23>(vreinterpretq_s32_f32(a)), vdupq_n_s32(127 << 23)));
        }
    }
}

/// Exchanges rows and columns: value `column` of row `row` goes to `to + column · distance + row`. The rows are
/// `stride` apart.
///
/// # Safety
/// As [`Lanes`]; `from` is valid for these rows, and `to` for what is written.
#[inline(always)]
pub unsafe fn turn<L: Lanes>(
    from: *const f32,
    stride: usize,
    [rows, columns]: [usize; 2],
    to: *mut f32,
    distance: usize,
) {
    let (fours, vectors) = (rows / 4 * 4, columns / W * W);
    unsafe {
        for column in (0..vectors).step_by(W) {
            for row in (0..fours).step_by(4) {
                let at = from.add(row * stride + column);
                let four =
                    [L::load(at), L::load(at.add(stride)), L::load(at.add(2 * stride)), L::load(at.add(3 * stride))];
                L::store_across(four, to.add(column * distance + row), distance);
            }
        }
        for column in 0..columns {
            let first = if column < vectors { fours } else { 0 };
            for row in first..rows {
                *to.add(column * distance + row) = *from.add(row * stride + column);
            }
        }
    }
}

/// A piece of work that is written once for all instruction sets.
pub trait Kernel {
    /// What it returns.
    type Out;
    /// Does the work. Implementations are `#[inline(always)]`, so that they are compiled with the instructions of `L`.
    ///
    /// # Safety
    /// The processor has the instructions of `L`, and what the kernel itself asks for holds.
    unsafe fn call<L: Lanes>(self) -> Self::Out;
}

/// An instruction set that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Set);

/// The instruction sets, the widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    V4,
    #[cfg(target_arch = "x86_64")]
    V3,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Plain,
}

impl Set {
    const ALL: &[Set] = &[
        #[cfg(target_arch = "x86_64")]
        Set::V4,
        #[cfg(target_arch = "x86_64")]
        Set::V3,
        #[cfg(target_arch = "aarch64")]
        Set::Neon,
        Set::Plain,
    ];

    fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Set::V4 => "v4",
            #[cfg(target_arch = "x86_64")]
            Set::V3 => "v3",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
            Set::Plain => "plain",
        }
    }

    fn is_there(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Set::V4 => {
                let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
                wide && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && Set::V3.is_there()
            }
            #[cfg(target_arch = "x86_64")]
            Set::V3 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Set::Neon => true,
            Set::Plain => true,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Level {
    /// All that this processor has, the widest first.
    pub fn all() -> Vec<Level> {
        Set::ALL.iter().copied().filter(|set| set.is_there()).map(Level).collect()
    }

    /// The instruction set named by `MACLIP_SIMD`: `v4` (AVX-512), `v3` (AVX2 and FMA), `neon` or `plain`; the widest
    /// where the variable is not set or empty.
    ///
    /// # Errors
    /// Where the processor has no such instructions, or the name is unknown: a sentence that says which ones there are.
    pub fn asked() -> Result<Level, String> {
        let all = Level::all();
        match std::env::var(VARIABLE).ok().filter(|name| !name.is_empty()) {
            None => Ok(all[0]),
            Some(name) => all.iter().copied().find(|level| level.0.name() == name).ok_or_else(|| {
                let names: Vec<&str> = all.iter().map(|level| level.0.name()).collect();
                format!("{VARIABLE} is `{name}`; this processor has {}", names.join(", "))
            }),
        }
    }

    /// [`Level::asked`], read once.
    ///
    /// # Panics
    /// Where [`Level::asked`] is an error. A program calls that one when it starts.
    pub fn current() -> Level {
        static CURRENT: OnceLock<Level> = OnceLock::new();
        *CURRENT.get_or_init(|| Level::asked().unwrap_or_else(|message| panic!("{message}")))
    }
}

/// Runs `kernel` with the instructions of `level`.
///
/// # Safety
/// What the kernel itself asks for holds.
#[inline(always)]
pub unsafe fn run<K: Kernel>(level: Level, kernel: K) -> K::Out {
    // Safety: a `Level` is only made for instructions that the processor has.
    unsafe {
        match level.0 {
            #[cfg(target_arch = "x86_64")]
            Set::V4 => x86::v4(kernel),
            #[cfg(target_arch = "x86_64")]
            Set::V3 => x86::v3(kernel),
            #[cfg(target_arch = "aarch64")]
            Set::Neon => kernel.call::<arm::Neon>(),
            Set::Plain => kernel.call::<Plain>(),
        }
    }
}
