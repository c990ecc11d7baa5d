//! The pixel noise: one long sequence of random numbers, drawn in four places at once.
//!
//! A generator of the xorshift kind waits for each number before it can make the next. But all its numbers are sums
//! (XOR) of the bits of its state, so a state many steps ahead can be computed directly. Four generators that start
//! 1024 steps apart give the same sequence as one, and the processor works on them side by side.

/// Pixels for which each generator draws before the next block of `LANES * STEPS` pixels begins.
const STEPS: usize = 1024;
const LANES: usize = 4;
/// Three channels with 16 bits each.
const BYTES: usize = 6;

/// The states `STEPS` steps after those with a single bit. The state after any other is the XOR of those of its bits.
const AHEAD: [u64; 64] = {
    let mut states = [0; 64];
    let mut bit = 0;
    while bit < 64 {
        states[bit] = 1 << bit;
        let mut count = 0;
        while count < STEPS {
            states[bit] = step(states[bit]);
            count += 1;
        }
        bit += 1;
    }
    states
};

/// xorshift64.
const fn step(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

fn ahead(state: u64) -> u64 {
    AHEAD.iter().enumerate().fold(0, |sum, (bit, after)| sum ^ (after & (state >> bit & 1).wrapping_neg()))
}

/// 8-bit RGB of `values` (RGB, 0..=1, channels interleaved) with noise of amplitude `amplitude`; `key` picks the noise.
pub fn grainy(values: &[f32], amplitude: f32, key: u64) -> Vec<u8> {
    let mut state = scramble(key) | 1;
    let scale = amplitude / 32_768.0;
    let mut bytes = vec![0; values.len()];
    // Each draw is written as 8 bytes, of which the next one covers 2.
    let mut draws = [[0; STEPS * BYTES + 2]; LANES];
    let blocks = bytes.chunks_mut(3 * STEPS * LANES).zip(values.chunks(3 * STEPS * LANES));
    for (bytes, values) in blocks {
        let mut states = [state; LANES];
        for lane in 1..LANES {
            states[lane] = ahead(states[lane - 1]);
        }
        for at in 0..STEPS {
            for (state, draws) in states.iter_mut().zip(&mut draws) {
                *state = step(*state);
                draws[at * BYTES..at * BYTES + 8].copy_from_slice(&(*state >> 8).to_le_bytes());
            }
        }
        state = states[LANES - 1];
        for ((bytes, values), draws) in bytes.chunks_mut(3 * STEPS).zip(values.chunks(3 * STEPS)).zip(&draws) {
            for ((byte, value), draw) in bytes.iter_mut().zip(values).zip(draws.as_chunks().0) {
                // Of the -1..1 that a draw stands for, here it is 0..65536 around 32768.
                let draw = (u16::from_le_bytes(*draw) ^ 0x8000) as i16 as f32;
                *byte = whole(((value + scale * draw) * 255.0 + 0.5).clamp(0.0, 255.0));
            }
        }
    }
    bytes
}

/// `value as u8` for 0..=255: the cast checks each value for what does not occur here, and cannot be vectorised.
fn whole(value: f32) -> u8 {
    // From here on floats are whole numbers, which are in the last bits.
    const WHOLE: f32 = 8_388_608.0;
    let rounded = value + WHOLE;
    (rounded.to_bits() - u32::from(rounded - WHOLE > value)) as u8
}

/// A 64-bit finaliser (that of SplitMix64): neighbouring keys give unrelated bits.
pub fn scramble(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_in_motion_noise_is_that_of_one_generator() {
        for pixels in [1, 1024, 4096, 5000, 9001] {
            let values: Vec<f32> = (0..pixels * 3).map(|at| at as f32 / (pixels * 3) as f32).collect();
            let mut state = scramble(7) | 1;
            let expected = values.chunks(3).flat_map(|pixel| {
                state = step(state);
                std::array::from_fn::<u8, 3, _>(|channel| {
                    let draw = (state >> (16 * channel + 8)) as u16 as f32 / 32_768.0 - 1.0;
                    ((pixel[channel] + 0.3 * draw) * 255.0 + 0.5).clamp(0.0, 255.0) as u8
                })
            });
            assert_eq!(grainy(&values, 0.3, 7), expected.collect::<Vec<_>>(), "{pixels}");
        }
    }
}
