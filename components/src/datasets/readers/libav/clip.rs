//! One video file, decoded with FFmpeg's libraries in the process that asks.
//!
//! The frames are those of the `ffmpeg` program, byte for byte: the same demuxer and decoder, and the conversion to RGB
//! by the filter that the program inserts. A damaged file, and one that the program treats in a way of its own, is
//! [`Stop::Odd`] here.
//!
//! Of H.264, frames that nobody wants and that no other frame is predicted from are not decoded. The number and the
//! order of all frames follow from the times of the samples. Where the frames that come do not have the times that the
//! samples promise, everything is decoded and counted.

use super::{Sign, Stop};
use crate::datasets::readers::ffmpeg::{CONTAINERS, Probed};
use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::packet::side_data::Type as StreamData;
use ffmpeg_next::codec::{self, Id};
use ffmpeg_next::filter::{self, Graph};
use ffmpeg_next::format::stream::{Disposition, Stream};
use ffmpeg_next::format::{self, context::Input};
use ffmpeg_next::frame::{self, side_data::Type as FrameData};
use ffmpeg_next::{Dictionary, Packet, Rational, media};
use maclip_framework::images::{Image, MOST_PIXELS};
use std::collections::BTreeSet;

/// Bytes of coded frames that stay in memory between counting and decoding. A larger file is read twice.
const HELD: usize = 32 << 20;
/// Samples between two signs of life.
const SIGN: usize = 256;

/// An open file.
pub(super) struct Clip {
    /// `file:` and an absolute path.
    name: String,
    parameters: codec::Parameters,
    time_base: Rational,
    /// Mean frames per second, as the container says.
    pub fps: Option<f64>,
    samples: Vec<Sample>,
    /// The samples themselves, where they are few enough.
    held: Option<Vec<Packet>>,
    /// The times of all frames in the order of display, where each sample is known to be one frame.
    times: Option<Vec<i64>>,
}

/// A coded frame.
struct Sample {
    pts: Option<i64>,
    /// No other frame is predicted from it.
    spare: bool,
}

/// Samples to decode, one by one.
enum Source<'a> {
    Held(std::slice::Iter<'a, Packet>),
    File(Input, usize),
}

impl Clip {
    /// Opens the file `name` and lists its samples. `alive` is called now and then.
    pub(super) fn open(name: &str, alive: &mut dyn FnMut() -> Result<(), Stop>) -> Result<Self, Stop> {
        ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
        let (mut input, stream) = open(name)?;
        let video = input.stream(stream).ok_or_else(|| Stop::odd("no stream"))?;
        let (parameters, time_base, rate) = (video.parameters(), video.time_base(), video.avg_frame_rate());
        let fps = (rate.numerator() > 0 && rate.denominator() > 0).then(|| f64::from(rate));
        let h264 = parameters.id() == Id::H264;
        let (mut samples, mut held, mut bytes) = (Vec::new(), Some(Vec::new()), 0);
        while let Some(packet) = next(&mut input, stream)? {
            if samples.is_empty() && !packet.is_key() {
                return Err(Stop::odd("starts without a key frame"));
            }
            bytes += packet.size();
            samples.push(Sample { pts: packet.pts(), spare: h264 && packet.data().is_some_and(spare) });
            match &mut held {
                Some(packets) if bytes <= HELD => packets.push(packet),
                _ => held = None,
            }
            if samples.len() % SIGN == 0 {
                alive()?;
            }
        }
        let times = if h264 { times(&samples) } else { None };
        Ok(Self { name: name.to_string(), parameters, time_base, fps, samples, held, times })
    }

    /// The number of frames, as far as it is known without decoding.
    pub(super) fn frames(&self) -> usize {
        self.times.as_ref().map_or(self.samples.len(), Vec::len)
    }

    /// What is known of the file without decoding it.
    pub(super) fn probed(&self) -> Probed {
        Probed { frames: self.frames(), fps: self.fps, keyed: true }
    }

    /// Gives each frame in `wanted` to `take`, with its number in the order of display. Returns the exact number of
    /// frames; `None` where they were numbered wrongly, and must be asked for once more.
    pub(super) fn decode(
        &mut self,
        wanted: &BTreeSet<usize>,
        converter: &mut Converter,
        take: &mut dyn FnMut(Sign) -> Result<(), Stop>,
    ) -> Result<Option<usize>, Stop> {
        let skipped = self.skipped(wanted);
        // Numbers and times of the frames that must come.
        let mut coming = self.times.as_ref().map(|times| {
            let left_out = |sample: &(&Sample, &bool)| *sample.1;
            let left_out: BTreeSet<i64> =
                self.samples.iter().zip(&skipped).filter(left_out).filter_map(|(sample, _)| sample.pts).collect();
            times.clone().into_iter().enumerate().filter(move |(_, time)| !left_out.contains(time))
        });
        let mut decoder = decoder(&self.parameters, self.time_base)?;
        let mut source = match &self.held {
            Some(held) => Source::Held(held.iter()),
            None => open(&self.name).map(|(input, stream)| Source::File(input, stream))?,
        };
        let (mut count, mut kind, mut frame) = (0, None, frame::Video::empty());
        for at in 0.. {
            let kept: Packet;
            let packet = match &mut source {
                Source::Held(held) => held.next(),
                Source::File(input, stream) => match next(input, *stream)? {
                    Some(packet) => {
                        kept = packet;
                        Some(&kept)
                    }
                    None => None,
                },
            };
            if at % SIGN == SIGN - 1 {
                take(Sign::Alive)?;
            }
            match packet {
                Some(_) if skipped.get(at) == Some(&true) => continue,
                Some(packet) => decoder.send_packet(packet)?,
                None => decoder.send_eof()?,
            }
            while received(&mut decoder, &mut frame)? {
                let number = match &mut coming {
                    None => Some(count),
                    // Two fields may be two samples.
                    Some(_) if frame.is_interlaced() => None,
                    Some(coming) => {
                        coming.next().filter(|&(_, time)| frame.pts() == Some(time)).map(|(number, _)| number)
                    }
                };
                let Some(number) = number else {
                    self.times = None;
                    return Ok(None);
                };
                count += 1;
                let this = (frame.width(), frame.height(), frame.format());
                if *kind.get_or_insert(this) != this {
                    return Err(Stop::odd("frames of several kinds"));
                }
                if frame.is_corrupt()
                    || maclip_kernels::libav::concealed(&frame)
                    || frame.side_data(FrameData::DisplayMatrix).is_some()
                {
                    return Err(Stop::odd("a damaged or turned frame"));
                }
                if wanted.contains(&number) {
                    take(Sign::Frame(number, converter.convert(&frame)?))?;
                }
            }
            if packet.is_none() {
                break;
            }
        }
        if coming.is_some_and(|mut coming| coming.next().is_some()) {
            self.times = None;
            return Ok(None);
        }
        Ok(Some(self.times.as_ref().map_or(count, Vec::len)))
    }

    /// As if the file were too large to stay in memory.
    #[cfg(test)]
    pub(super) fn drop_held(&mut self) {
        self.held = None;
    }

    /// For each sample whether it need not be decoded.
    fn skipped(&self, wanted: &BTreeSet<usize>) -> Vec<bool> {
        let Some(times) = &self.times else { return Vec::new() };
        let shown = |sample: &Sample| times.binary_search(&sample.pts?).ok();
        let skip = |sample: &Sample| sample.spare && shown(sample).is_none_or(|number| !wanted.contains(&number));
        self.samples.iter().map(skip).collect()
    }
}

/// Opens a file, and finds the stream that the program takes: the first video that is no cover.
fn open(name: &str) -> Result<(Input, usize), Stop> {
    let mut options = Dictionary::new();
    options.set("protocol_whitelist", "file");
    options.set("format_whitelist", CONTAINERS);
    let input = format::input_with_dictionary(name, options)?;
    let video = |stream: &Stream| {
        stream.parameters().medium() == media::Type::Video && !stream.disposition().contains(Disposition::ATTACHED_PIC)
    };
    let stream = input.streams().find(video).ok_or_else(|| Stop::odd("no video"))?;
    if stream.side_data().any(|data| data.kind() == StreamData::DisplayMatrix) {
        return Err(Stop::odd("turned"));
    }
    let stream = stream.index();
    Ok((input, stream))
}

/// The next sample of a stream.
fn next(input: &mut Input, stream: usize) -> Result<Option<Packet>, Stop> {
    loop {
        let mut packet = Packet::empty();
        match packet.read(input) {
            Ok(()) if packet.stream() != stream => {}
            Ok(()) if packet.is_corrupt() => return Err(Stop::odd("a damaged sample")),
            Ok(()) => return Ok(Some(packet)),
            Err(ffmpeg::Error::Eof) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A decoder with one thread: several clips are decoded side by side.
fn decoder(parameters: &codec::Parameters, time_base: Rational) -> Result<codec::decoder::Video, Stop> {
    let mut context = codec::Context::from_parameters(parameters.clone())?;
    context.set_threading(codec::threading::Config::count(1));
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(time_base);
    let codec = codec::decoder::find(parameters.id()).ok_or_else(|| Stop::odd("no decoder"))?;
    Ok(decoder.open_as(codec)?.video()?)
}

/// Whether a frame came; otherwise the decoder needs more samples, or has no more.
fn received(decoder: &mut codec::decoder::Video, frame: &mut frame::Video) -> Result<bool, Stop> {
    match decoder.receive_frame(frame) {
        Ok(()) => Ok(true),
        Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN } | ffmpeg::Error::Eof) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Times in the order of display, without those before the start, which an edit list hides. `None` where a sample has
/// no time, or two have the same.
fn times(samples: &[Sample]) -> Option<Vec<i64>> {
    let mut times: Vec<i64> = samples.iter().map(|sample| sample.pts).collect::<Option<_>>()?;
    times.retain(|&time| time >= 0);
    times.sort_unstable();
    times.is_sorted_by(|one, next| one < next).then_some(times)
}

/// Whether no frame is predicted from this sample of H.264: a chain of units, each behind its length in four bytes,
/// whose slices have a `nal_ref_idc` of 0 (ITU-T H.264, 7.4.1), and nothing that later samples may need.
fn spare(mut sample: &[u8]) -> bool {
    let mut slices = 0;
    while let Some((length, rest)) = sample.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((&[head, ..], after)) = rest.split_at_checked(length) else { return false };
        match (head & 31, head >> 5) {
            (1, 0) => slices += 1,
            // Remarks (SEI), delimiters and filling.
            (6 | 9 | 12, 0) => {}
            _ => return false,
        }
        sample = after;
    }
    sample.is_empty() && slices > 0
}

/// Converts frames to RGB. Kept from clip to clip, because to set it up takes as long as to decode a small clip.
#[derive(Default)]
pub(super) struct Converter {
    /// With the kind of frames that it takes.
    graph: Option<(String, Graph)>,
}

impl Converter {
    fn convert(&mut self, frame: &frame::Video) -> Result<Image, Stop> {
        let format = frame.format().descriptor().ok_or_else(|| Stop::odd("an unknown format"))?.name();
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let kind = format!("video_size={width}x{height}:pix_fmt={format}:time_base=1/1:pixel_aspect=1/1");
        let graph = match self.graph.take() {
            Some((before, graph)) if before == kind => graph,
            _ => graph(&kind)?,
        };
        let (_, graph) = self.graph.insert((kind, graph));
        let end = |graph: &mut Graph, name| graph.get(name).ok_or_else(|| Stop::odd("no conversion"));
        let mut rgb = frame::Video::empty();
        end(graph, "in")?.source().add(frame)?;
        end(graph, "out")?.sink().frame(&mut rgb)?;
        let (row, stride) = (width * 3, rgb.stride(0));
        if width.checked_mul(height).is_none_or(|pixels| pixels > MOST_PIXELS) {
            return Err(Stop::odd(format!("{width}x{height} pixels")));
        }
        if (rgb.width() as usize, rgb.height() as usize) != (width, height) || stride < row {
            return Err(Stop::odd("the conversion changes the size"));
        }
        let mut pixels = Vec::new();
        let no_memory = |_| Stop::odd(format!("no memory for {width}x{height} pixels"));
        pixels.try_reserve_exact(row * height).map_err(no_memory)?;
        rgb.data(0).chunks(stride).take(height).for_each(|line| pixels.extend_from_slice(&line[..row]));
        Ok(Image { width, height, pixels })
    }
}

/// What `ffmpeg -pix_fmt rgb24` puts between a decoder and an encoder.
fn graph(kind: &str) -> Result<Graph, Stop> {
    let mut graph = Graph::new();
    let find = |name| filter::find(name).ok_or_else(|| Stop::odd("no filter"));
    graph.add(&find("buffer")?, "in", kind)?;
    graph.add(&find("buffersink")?, "out", "")?;
    graph.output("in", 0)?.input("out", 0)?.parse("scale=flags=bicubic,format=pix_fmts=rgb24")?;
    graph.validate()?;
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_libav_spare_samples_of_h264() {
        let unit = |head: u8, rest: &[u8]| [&(rest.len() as u32 + 1).to_be_bytes()[..], &[head], rest].concat();
        let (slice, needed, remark) = (unit(0x01, b"abc"), unit(0x61, b"abc"), unit(0x06, b"x"));
        assert!(spare(&slice) && spare(&[&remark[..], &slice, &slice].concat()));
        for sample in [
            &b""[..],
            &needed,
            &remark,
            &unit(0x65, b"key"),
            &[&slice[..], &needed].concat(),
            // A set of parameters, a length beyond the end, and units behind start codes.
            &[&unit(0x67, b"p")[..], &slice].concat(),
            &slice[..slice.len() - 1],
            &b"\0\0\0\x01\x09\xf0\0\0\0\x01\x01abc"[..],
        ] {
            assert!(!spare(sample), "{sample:?}");
        }
    }

    #[test]
    fn readers_libav_times_are_ordered_and_unique() {
        let times =
            |pts: &[Option<i64>]| times(&pts.iter().map(|&pts| Sample { pts, spare: false }).collect::<Vec<_>>());
        assert_eq!(times(&[Some(0), Some(40), Some(20), Some(-20)]), Some(vec![0, 20, 40]));
        assert_eq!(times(&[Some(0), None]), None);
        assert_eq!(times(&[Some(5), Some(0), Some(5)]), None);
    }
}
