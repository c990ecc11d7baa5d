//! Captioned pictures: things at rest, and single moments of what clips show, with a sentence on what is to be seen.
//!
//! Pictures come in groups that look alike. Each differs from the first of its group in one thing, which its caption
//! names for certain: the direction, the verb, the thing or the place. Most longer stretches show pictures of one kind:
//! people, hands, or things in motion or at rest. So a batch holds captions that only a close look can tell apart.

use super::backdrop::Backdrop;
use super::content::Content;
use super::figures::{Action, Facing, Prop, Style};
use super::hands::Handling;
use super::motion::Motion;
use super::objects::{Shape, Texture, What, all_whats, with_article};
use super::palette::colour_words;
use super::pattern::Ground;
use super::played::Words;
use super::scene::{Scene, Trace};
use super::scenery::Place;
use super::still::{self, Still, noun, place_of};
use maclip_framework::random::{Rng, Stream};
use maclip_framework::slots::dataset::{CaptionedImage, Question};
use std::collections::BTreeSet;

pub const AND: &str = "and";
pub const TWO: &str = "two";
const BEFORE_GROUND: [&str; 3] = ["on", "against", "in front of"];
const BACKGROUND: &str = "background";
const ARTICLES: [&str; 2] = ["a", "an"];
/// Who does it, where the picture shows a whole figure; the first most often.
const PEOPLE: [&str; 6] = ["a person", "a man", "a woman", "a child", "somebody", "a player"];
const STICK_FIGURE: &str = "stick figure";
const SILHOUETTE: &str = "silhouette";
/// Before the colour of clothes.
const DRESSED_IN: [&str; 2] = ["in", "dressed in"];
/// Who does it, where only a hand is to be seen; the empty one leaves it out.
const HANDS: [&str; 4] = ["", "somebody", "a hand", "a person"];
const BEFORE_ALL: [&str; 3] = ["a photo of", "a picture of", "a video of"];
const IS: &str = "is";
const WATCH: &str = "watch";

/// All words that captions can have, sorted.
pub fn words() -> Vec<String> {
    let shapes = Shape::ALL.iter().flat_map(|s| [s.one().to_string(), s.many()]);
    let single = [AND, TWO, BACKGROUND, still::FAINT, STICK_FIGURE, SILHOUETTE, IS, WATCH];
    let looks = Texture::ALL.iter().map(|t| t.word()).chain(Ground::ALL.iter().map(|g| g.word())).chain(colour_words());
    let phrases =
        still::PLACES.into_iter().flatten().chain(still::POINTING).chain(still::RELATIONS).chain(still::SMALL);
    let people = PEOPLE.into_iter().chain(DRESSED_IN).chain(HANDS).chain(BEFORE_ALL).chain(BEFORE_GROUND);
    let places = Place::ALL.iter().flat_map(|place| place.phrases());
    let facings = Facing::ALL.iter().flat_map(|facing| [facing.way(), facing.looking()]);
    let verbs = all_contents().into_iter().flat_map(|content| {
        let Words { doing, plain } = content.words();
        doing.iter().chain(plain).copied().collect::<Vec<_>>()
    });
    let tables = (single.into_iter().chain(looks).chain(phrases).chain(still::LARGE).chain(people).chain(places))
        .chain(facings)
        .chain(Prop::CARRIED.iter().filter_map(|prop| prop.phrase()))
        .chain(verbs)
        .chain(ARTICLES);
    let texts = tables.map(String::from).chain(shapes);
    let words: BTreeSet<String> =
        texts.flat_map(|text| text.split_whitespace().map(String::from).collect::<Vec<_>>()).collect();
    words.into_iter().filter(|word| word != "{}").collect()
}

/// One content of each verb.
fn all_contents() -> Vec<Content> {
    let what = What::new(Texture::Plain, Shape::Disc);
    let things = Motion::all().into_iter().map(|motion| Content::Thing { what, motion });
    let figures = Action::ALL.iter().map(|&action| Content::Figure { action, facing: None, carried: None });
    let hands = Handling::all().into_iter().map(|handling| Content::Hand { what, handling });
    things.chain(figures).chain(hands).collect()
}

/// Pictures of a group, and of a stretch.
const GROUP: u64 = 4;
const STRETCH: u64 = 128;
/// Share of captions that are as short as the name of a class.
pub const LABELS: f64 = 0.15;

/// What a picture differs in from the first one of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Direction,
    Verb,
    Thing,
    /// Colours, sizes and courses.
    Looks,
    Ground,
    /// It has nothing to do with it.
    All,
}

/// What a picture shows.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Rest(What),
    Moment(Content),
}

/// All decisions on one picture.
#[derive(Clone, Copy, Debug)]
struct Plan {
    subject: Subject,
    place: Option<Place>,
    time: f32,
    /// Keys of what is drawn, and of how it is said.
    looks: u64,
    words: u64,
}

/// What kind of picture it is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Rest,
    Thing,
    Figure,
    Hand,
}

impl Kind {
    /// Of all pictures of the stretch that `index` is in; `None` where each picture has its own.
    fn of_stretch(stream: &Stream, index: u64) -> Option<Self> {
        // Pictures count from 0 and never come here.
        let mut rng = stream.at(u64::MAX - index / STRETCH);
        rng.chance(0.75).then(|| Self::draw(&mut rng))
    }

    fn draw(rng: &mut Rng) -> Self {
        match rng.below(20) {
            0..6 => Kind::Rest,
            6..9 => Kind::Thing,
            9..15 => Kind::Figure,
            _ => Kind::Hand,
        }
    }

    fn subject(self, rng: &mut Rng) -> Subject {
        let what = *rng.pick(&all_whats());
        match self {
            Kind::Rest => Subject::Rest(what),
            Kind::Thing => Subject::Moment(Content::Thing { what, motion: *rng.pick(&Motion::all()) }),
            Kind::Figure => Subject::Moment(figure(rng)),
            Kind::Hand => Subject::Moment(Content::Hand { what, handling: *rng.pick(&Handling::all()) }),
        }
    }
}

/// Any thing, half of the time with the same texture. It is seldom the same.
fn another(what: What, rng: &mut Rng) -> What {
    let other = *rng.pick(&all_whats());
    if rng.chance(0.5) { What { texture: what.texture, ..other } } else { other }
}

impl Plan {
    fn draw(kind: Option<Kind>, rng: &mut Rng) -> Self {
        let subject = kind.unwrap_or_else(|| Kind::draw(rng)).subject(rng);
        let place = rng.chance(0.55).then(|| *rng.pick(&Place::ALL));
        Self { subject, place, time: rng.range(0.06, 0.94) as f32, looks: rng.bits(), words: rng.bits() }
    }

    /// The same with one thing changed, where that is possible.
    fn changed(self, change: Change, kind: Option<Kind>, rng: &mut Rng) -> Self {
        let subject = match (change, self.subject) {
            (Change::All, _) => return Self::draw(kind, rng),
            (Change::Looks, _) => return Self { looks: rng.bits(), words: rng.bits(), ..self },
            (Change::Ground, _) => {
                let place = *rng.pick(&Place::ALL);
                let place = (self.place != Some(place)).then_some(place);
                return Self { place, words: rng.bits(), ..self };
            }
            (Change::Direction, Subject::Moment(content)) => Subject::Moment(match content {
                Content::Figure { action, facing, carried } if action.reverse().is_none() => {
                    let facings = action.script().facings;
                    let other = facings.iter().copied().filter(|other| Some(*other) != facing).collect::<Vec<_>>();
                    Content::Figure { action, facing: Some(*rng.pick(&other)), carried }
                }
                other => other.reverse().unwrap_or(other),
            }),
            (Change::Verb, Subject::Moment(content)) => Subject::Moment(match content {
                Content::Thing { what, .. } => Content::Thing { what, motion: *rng.pick(&Motion::all()) },
                Content::Hand { what, .. } => Content::Hand { what, handling: *rng.pick(&Handling::all()) },
                Content::Figure { .. } => figure(rng),
            }),
            (_, Subject::Rest(what)) => Subject::Rest(another(what, rng)),
            (Change::Thing, Subject::Moment(content)) => {
                Subject::Moment(match content {
                    Content::Thing { what, motion } => Content::Thing { what: another(what, rng), motion },
                    Content::Hand { what, handling } => Content::Hand { what: another(what, rng), handling },
                    // Another person.
                    figure => {
                        let subject = Subject::Moment(figure);
                        return Self { subject, looks: rng.bits(), words: rng.bits(), ..self };
                    }
                })
            }
        };
        Self { subject, words: rng.bits(), ..self }
    }
}

/// Any figure: facing somewhere, now and then with something that its action does not need.
fn figure(rng: &mut Rng) -> Content {
    let action = *rng.pick(&Action::ALL);
    let script = action.script();
    let facing = Some(*rng.pick(script.facings));
    let carried = (script.prop.is_none() && script.way != 0.0 && rng.chance(0.3)).then(|| *rng.pick(&Prop::CARRIED));
    Content::Figure { action, facing, carried }
}

/// What one picture shows, all decisions made.
enum Picture {
    Rest { still: Still, backdrop: Backdrop },
    Moment { content: Content, scene: Box<Scene>, time: f32 },
}

/// Picture `index` of a stream, what it differs in from the first of its group, and the random numbers of its noise and
/// words.
fn picture(stream: &Stream, index: u64) -> (Picture, Change, Rng, Rng) {
    let mut rng = stream.at(index / GROUP * GROUP);
    let kind = Kind::of_stretch(stream, index);
    let first = Plan::draw(kind, &mut rng);
    if !index.is_multiple_of(GROUP) {
        rng = stream.at(index);
    }
    let change = match rng.below(20) {
        0..4 => Change::Direction,
        4..9 => Change::Verb,
        9..13 => Change::Thing,
        13..15 => Change::Looks,
        15..16 => Change::Ground,
        _ => Change::All,
    };
    let plan = if index.is_multiple_of(GROUP) { first } else { first.changed(change, kind, &mut rng) };
    let mut looks = Stream::new(plan.looks, "looks").at(0);
    let words = Stream::new(plan.words, "words").at(0);
    let picture = match plan.subject {
        Subject::Rest(what) => {
            let backdrop = match plan.place {
                Some(place) => Backdrop::of(place, &mut looks),
                None => Backdrop::draw(&mut looks),
            };
            Picture::Rest { still: Still::draw(what, &backdrop, &mut looks), backdrop }
        }
        Subject::Moment(content) => {
            let mut scene = Scene::draw(content, plan.place, &mut looks);
            scene.trace = match Trace::of_picture(&mut looks) {
                // A blur does not tell from where to where.
                Trace::Blur(length) if change == Change::Direction => Trace::Ghosts(length / 2.0),
                Trace::None if change == Change::Direction => Trace::Streaks(0.1),
                other => other,
            };
            Picture::Moment { content, scene: Box::new(scene), time: plan.time }
        }
    };
    (picture, change, looks, words)
}

/// Picture `index` of a stream, `size` pixels square, with its caption.
pub fn captioned(size: usize, stream: &Stream, index: u64) -> CaptionedImage {
    let (picture, change, mut looks, mut words) = picture(stream, index);
    let (pixels, caption) = match picture {
        Picture::Rest { still, backdrop } => {
            let mut canvas = backdrop.paint(size, 0);
            still.paint(&mut canvas);
            let pixels = canvas.finish(looks.range(0.0, 0.06) as f32, looks.bits());
            (pixels, still.describe(&backdrop, &mut words))
        }
        Picture::Moment { content, scene, time } => {
            (scene.picture(size, time), describe(content, &scene, time, change, &mut words))
        }
    };
    CaptionedImage { height: size, width: size, pixels, caption }
}

/// What picture `index` of a stream can be asked: for every kind of word, sentences that differ in it alone.
pub fn questions(stream: &Stream, index: u64) -> Vec<Question> {
    let (picture, ..) = picture(stream, index);
    let mut asked = Vec::new();
    let mut ask = |about, right: String, all: Vec<String>| {
        let wrong = all.into_iter().filter(|answer| *answer != right).collect::<Vec<_>>();
        if !wrong.is_empty() {
            asked.push(Question { about, answers: [right].into_iter().chain(wrong).collect() });
        }
    };
    let (object, backdrop) = match &picture {
        Picture::Rest { still, backdrop } => (still.only(), backdrop),
        Picture::Moment { scene, time, .. } => {
            (scene.object(*time).map(|(sprite, _)| (sprite, scene.middle(*time))), &scene.backdrop)
        }
    };
    if let Some((sprite, middle)) = object {
        let shape = sprite.what.shape;
        ask("thing", with_article(shape.one()), Shape::ALL.iter().map(|shape| with_article(shape.one())).collect());
        let coloured = |colour: &str| with_article(&format!("{colour} {}", shape.one()));
        ask("colour", coloured(sprite.word), colour_words().map(coloured).collect());
        let at = |place: &str| format!("{} {place}", with_article(shape.one()));
        ask("place", at(place_of(middle)), still::PLACES.into_iter().flatten().map(at).collect());
    }
    if let Backdrop::Scenery(scenery) = backdrop {
        let all = Place::ALL.iter().map(|place| place.phrases()[0].to_owned()).collect();
        ask("scene", scenery.place.phrases()[0].to_owned(), all);
    }
    let Picture::Moment { content, scene, .. } = picture else { return asked };
    let directed = matches!(scene.trace, Trace::Ghosts(_) | Trace::Streaks(_));
    let alike = |other: &Content| std::mem::discriminant(other) == std::mem::discriminant(&content);
    let plain = match content {
        Content::Figure { action, .. } => Content::Figure { action, facing: None, carried: None },
        other => other,
    };
    let with_verb_of = |other: Content| match (content, other) {
        (Content::Thing { what, .. }, Content::Thing { motion, .. }) => Content::Thing { what, motion },
        (Content::Hand { what, .. }, Content::Hand { handling, .. }) => Content::Hand { what, handling },
        _ => other,
    };
    // Which of a verb and its reverse it is, is asked apart.
    let reverse = plain.reverse();
    let verbs = all_contents().into_iter().filter(alike).map(with_verb_of).filter(|other| Some(*other) != reverse);
    if scene.trace != Trace::None || scene.figure().is_some() {
        ask("verb", plain.sentence(), verbs.map(Content::sentence).collect());
    }
    match content {
        Content::Figure { action, facing, .. } => {
            let facing_to = |facing| Content::Figure { action, facing: Some(facing), carried: None }.sentence();
            if let Some(facing) = facing {
                let all = action.script().facings.iter().map(|&facing| facing_to(facing)).collect();
                ask("direction", facing_to(facing), all);
            }
        }
        _ => {
            if let (Some(reverse), true) = (reverse, directed) {
                ask("direction", plain.sentence(), vec![reverse.sentence()]);
            }
        }
    }
    asked
}

/// "on a red striped background", "in a meadow"; perhaps nothing, unless it `must` be said.
pub fn ground_phrase(backdrop: &Backdrop, must: bool, rng: &mut Rng) -> Option<String> {
    let said = rng.chance(0.5) || must;
    let pattern = match backdrop {
        Backdrop::Scenery(scenery) => {
            let phrases = scenery.place.phrases();
            return said.then(|| phrases[usize::from(rng.chance(0.35))].to_owned());
        }
        Backdrop::Pattern(pattern) => pattern,
    };
    let mut parts = Vec::new();
    parts.extend((rng.chance(0.85) || must).then_some(pattern.paint.word));
    parts.extend(rng.chance(if pattern.ground == Ground::Plain { 0.3 } else { 0.7 }).then_some(pattern.ground.word()));
    let said = !parts.is_empty() && said;
    parts.push(BACKGROUND);
    let link = rng.pick(&BEFORE_GROUND);
    said.then(|| format!("{link} {}", with_article(&parts.join(" "))))
}

/// A sentence on one moment of a scene. What the picture differs in from the first of its group is said for certain,
/// unless the sentence is only the name of a class.
fn describe(content: Content, scene: &Scene, time: f32, change: Change, rng: &mut Rng) -> String {
    if rng.chance(LABELS) {
        return content.sentence();
    }
    let verb_must = matches!(change, Change::Direction | Change::Verb);
    let Words { doing, plain } = content.words();
    // The first way to say it is the usual one.
    let which = if rng.chance(0.55) { 0 } else { rng.below(doing.len()) };
    let plainly = rng.chance(0.2);
    let is = rng.chance(0.15);
    let before = rng.chance(0.15).then(|| *rng.pick(&BEFORE_ALL));
    let (who, mut verb, plural) = match content {
        Content::Thing { what, motion } => {
            let (sprite, radius) = scene.object(time).expect("things have a sprite");
            let who = if motion.two() {
                let colour = Some(sprite.word).filter(|_| scene.one_colour() && rng.chance(0.8));
                [Some(TWO), colour, Some(what.text(true).as_str())].into_iter().flatten().collect::<Vec<_>>().join(" ")
            } else {
                with_article(&noun(sprite, None, Some(radius), rng))
            };
            let seen = scene.trace != Trace::None;
            let said = rng.chance(if seen { 0.88 } else { 0.25 }) || verb_must;
            let verb = if plainly { plain[which] } else { doing[which] };
            (who, said.then(|| verb.to_owned()), motion.two())
        }
        Content::Hand { .. } => {
            let (sprite, _) = scene.object(time).expect("hands have a thing");
            let object = with_article(&noun(sprite, None, None, rng));
            let who = (*rng.pick(&HANDS)).to_owned();
            let verb = if plainly && !who.is_empty() { plain[which] } else { doing[which] };
            (who, Some(verb.replace("{}", &object)), false)
        }
        Content::Figure { action, carried, .. } => {
            let figure = scene.figure().expect("a figure is drawn");
            let look = &figure.look;
            let colour = rng.chance(0.45).then_some(look.paint.word);
            let person = if rng.chance(0.5) { PEOPLE[0] } else { *rng.pick(&PEOPLE) };
            let kind = rng.chance(0.6);
            let who = match (look.style, colour) {
                (Style::Dressed, Some(colour)) => format!("{person} {} {colour}", rng.pick(&DRESSED_IN)),
                (Style::Stick, colour) if kind => {
                    with_article(&[colour, Some(STICK_FIGURE)].into_iter().flatten().collect::<Vec<_>>().join(" "))
                }
                (Style::Coloured, _) if kind => with_article(STICK_FIGURE),
                (Style::Silhouette, colour) if kind => {
                    with_article(&[colour, Some(SILHOUETTE)].into_iter().flatten().collect::<Vec<_>>().join(" "))
                }
                _ => person.to_owned(),
            };
            let verb = if plainly { plain[which] } else { doing[which] };
            let way = if action.travels() { figure.facing.way() } else { figure.facing.looking() };
            let must = change == Change::Direction && action.reverse().is_none();
            let way = (rng.chance(0.55) || must).then_some(way);
            let with = carried.and_then(Prop::phrase).filter(|_| rng.chance(0.9));
            let verb = [Some(verb), way, with].into_iter().flatten().collect::<Vec<_>>().join(" ");
            (who, Some(verb), false)
        }
    };
    let mut start = String::new();
    if let Some(verb) = &mut verb
        && !who.is_empty()
    {
        if plainly {
            // Two things merge; one thing is watched.
            if !plural || before.is_some() {
                start = format!("{WATCH} ");
            }
        } else if is && !plural {
            *verb = format!("{IS} {verb}");
        } else if let Some(before) = before {
            start = format!("{before} ");
        }
    }
    let place = rng.chance(if matches!(content, Content::Thing { .. }) { 0.35 } else { 0.15 });
    let place = place.then(|| place_of(scene.middle(time)).to_owned());
    let ground = ground_phrase(&scene.backdrop, change == Change::Ground, rng);
    let who = (!who.is_empty()).then_some(who);
    let parts = [who, verb, place, ground];
    format!("{start}{}", parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
}
