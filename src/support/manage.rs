//! The giver's own page: asked for by address, reached by a link in a mail, and there to see, change, end, or be forgotten.
//!
//! The link carries the donors' index of the address and nothing else. Whatever happens to a gift happens at Stripe
//! first; our row follows Stripe's answer, by the same path as an event.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use data_encoding::BASE64;
use serde::Deserialize;

use crate::address::Address;
use crate::app::{App, Shared};
use crate::clock::Moment;
use crate::db;
use crate::keys::Drawer;
use crate::mail::outbox::{self, Note};
use crate::support::answers::Portal;
use crate::support::apply::Trouble;
use crate::support::ask::{self, Asked, Faults, Often};
use crate::support::change;
use crate::support::mail::{day, house};
use crate::support::remind::{MAILS, OnePage, answer_sent, day_of, expired};
use crate::support::store::figures::{self, Entry};
use crate::support::store::gifts::{self, GiftRow};
use crate::support::store::{self, reminders};
use crate::support::stripe::Stripe;
use crate::support::{Frequency, GiftState, LINK_LIFE, LineKind, MANAGE, calls};
use crate::web::{self, Form, Page, Peer, Problem, Rule, render, wants_json};
use crate::words::Language;

/// What is done at Stripe by one giver's page.
const ACTS: Rule = Rule { name: "support.manage", burst: 20, per: std::time::Duration::from_secs(600) };

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/support/manage", get(show_form).post(send_link))
        .route("/support/manage/{token}", get(show))
        .route("/support/manage/{token}/end", post(end))
        .route("/support/manage/{token}/portal", post(portal))
        .route("/support/manage/{token}/forget", post(forget))
}

#[derive(Template)]
#[template(path = "support/pages/manage_link.html")]
struct LinkPage {
    page: Page,
    email: String,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "support/pages/manage.html")]
struct ManagePage {
    page: Page,
    token: String,
    gifts: Vec<GiftView>,
    past: Vec<PastView>,
    /// The words of the last button.
    forget: String,
    /// How long a pause may be: value and words.
    pauses: Vec<(i64, String)>,
    /// What was done just now.
    done: Option<String>,
    /// What could not be done.
    trouble: Option<String>,
}

/// What is said at the head of the page after something was asked for there.
pub(super) struct Said {
    /// What was done.
    pub done: Option<String>,
    /// What could not be done.
    pub trouble: Option<String>,
    /// A change that cannot be: of which gift, what was asked for, and what is wrong.
    pub wrong: Option<(String, Asked, Faults)>,
    /// The gift that was ended just now.
    pub ended: Option<String>,
    /// The answer's status, where it is not 200 and not 422 for what is wrong.
    pub status: StatusCode,
}

impl Default for Said {
    fn default() -> Said {
        Said { done: None, trouble: None, wrong: None, ended: None, status: StatusCode::OK }
    }
}

struct GiftView {
    id: String,
    ended: bool,
    heading: String,
    each: String,
    state: String,
    tone: &'static str,
    dates: Vec<(String, String)>,
    end: String,
    card: bool,
    change: Option<ChangeView>,
    can_pause: bool,
    paused: bool,
    /// Reasons to choose from: value and words. Asked only of whoever has ended it just now.
    reasons: Vec<(&'static str, String)>,
}

/// The form that changes a gift.
struct ChangeView {
    often: Vec<Often>,
    sign: String,
    sign_after: bool,
    decimals: u32,
    /// "from 17 November".
    from: String,
}

struct PastView {
    date: String,
    machine_date: String,
    what: String,
    amount: String,
    /// The payment's number, where there is a receipt.
    receipt: Option<String>,
}

async fn show_form(page: Page) -> Result<Response, Problem> {
    render(&LinkPage { page, email: String::new(), error: None })
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    email: String,
}

async fn send_link(
    State(app): State<Shared>,
    page: Page,
    peer: Peer,
    headers: HeaderMap,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Problem> {
    let json = wants_json(&headers);
    if let Some(network) = peer.network() {
        app.limits.check(&MAILS, &network)?;
    }
    let Ok(to) = Address::parse(&wanted.email) else {
        let error = page.say("support-email-bad");
        if json {
            return Err(Problem::Bad(error));
        }
        let shown = render(&LinkPage { page, email: wanted.email, error: Some(error) })?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, shown).into_response());
    };
    let answer_time = web::answer_time();
    let now = app.clock.now();
    let donor = app.keys.index(Drawer::Donors, &to);
    let token = app.keys.link(MANAGE, Some(now + LINK_LIFE), &BASE64.encode(&donor));
    let link = app.config.link(&format!("/support/manage/{token}"));
    let message = house(&app, page.words.language()).manage(to, link);
    let mark = app.keys.mark("support.manage.day", &[donor.clone(), day_of(now).into_bytes()].concat());
    let known = !gifts::of_donor(&app.db, &donor).await?.is_empty()
        || !figures::given_by(&app.db, &donor).await?.is_empty()
        || reminders::of(&app.db, &donor).await?.is_some();
    // Known or not, a mail is written and something is committed: the clock tells nothing either.
    let mut tx = app.db.begin().await?;
    let once = Some((mark, now + crate::clock::DAY));
    outbox::put(&mut tx, &app.keys, now, Note { kind: "manage-link", once, message }).await?;
    if known {
        tx.commit().await?;
        app.wake(outbox::TASK);
    } else {
        drop(tx);
        store::begin_read(&app.db, "nobody").await?;
    }
    answer_time.await;
    let lede = page.say("support-sent-manage");
    answer_sent(page, lede, json)
}

/// The donors' index that a link carries.
pub(super) fn donor(app: &App, token: &str) -> Result<Vec<u8>, Problem> {
    let donor: String = app.keys.read_link(MANAGE, token, app.clock.now()).map_err(expired)?;
    BASE64.decode(donor.as_bytes()).map_err(|_| Problem::Expired)
}

async fn show(State(app): State<Shared>, page: Page, Path(token): Path<String>) -> Result<Response, Problem> {
    let donor = donor(&app, &token)?;
    show_gifts(&app, page, token, &donor, Said::default()).await
}

/// The page, with what is to be said about the last press.
pub(super) async fn show_gifts(
    app: &App,
    page: Page,
    token: String,
    donor: &[u8],
    said: Said,
) -> Result<Response, Problem> {
    let gifts = gifts::of_donor(&app.db, donor).await?;
    let past = figures::given_by(&app.db, donor).await?;
    // Whoever gives in Russian reads in Russian, whatever their browser says.
    let page = match gifts.first() {
        Some(gift) => page.speaking(gift.language),
        None => page,
    };
    let page = page.shown_at(&format!("/support/manage/{token}"));
    let status = if said.wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { said.status };
    let open = app.stripe.is_some();
    let months = |n: i64| (n, page.words.say_n("support-manage-months", "n", n));
    let shown = render(&ManagePage {
        forget: match gifts.iter().any(|gift| gift.state != GiftState::Ended) {
            true => page.say("support-manage-forget"),
            false => page.say("support-manage-forget-only"),
        },
        gifts: gifts.iter().map(|gift| view(&page, gift, open, &said)).collect(),
        past: past.iter().map(|entry| past_view(&page, entry)).collect(),
        pauses: change::PAUSES.into_iter().map(months).collect(),
        token,
        done: said.done,
        trouble: said.trouble,
        page,
    })?;
    Ok((status, shown).into_response())
}

/// A day that is not broken at the end of a line.
fn whole_day(page: &Page, at: Moment) -> String {
    day(&page.words, at).replace(' ', "\u{a0}")
}

fn view(page: &Page, gift: &GiftRow, open: bool, said: &Said) -> GiftView {
    let words = &page.words;
    let frequency = gift.frequency;
    let amount = gift.money().map(|money| money.display(words.language())).unwrap_or_default();
    let whole = |at: Moment| whole_day(page, at);
    let each = [("amount", amount.into()), ("date", whole(gift.started_at).into())];
    let dated = |key: &str, at: Option<Moment>| at.map(|at| (words.say(key), whole(at)));
    let dates = match gift.state {
        GiftState::Ended => vec![dated("support-manage-ended", gift.ended_at)],
        GiftState::Paused => {
            vec![dated("support-manage-until", gift.paused_until), dated("support-manage-next", gift.next_at())]
        }
        _ => vec![dated("support-manage-ends", gift.ends_at).or_else(|| dated("support-manage-next", gift.renews_at))],
    };
    let has_ended = gift.state == GiftState::Ended;
    let reason = |name: &'static str| (name, words.say(&format!("support-why-{}", name.replace('_', "-"))));
    GiftView {
        id: gift.subscription_id.clone(),
        ended: has_ended,
        heading: words.say(if has_ended { "support-manage-gave" } else { "support-manage-gift" }),
        each: words.say_with(&format!("support-manage-each-{frequency}"), &each),
        state: words.say(&format!("support-state-{}", gift.state.as_str())),
        tone: gift.state.tone(),
        dates: dates.into_iter().flatten().collect(),
        end: words.say(&format!("support-manage-end-{frequency}")),
        card: open && gift.customer_id.is_some(),
        change: if open && change::can_change(gift) { change_view(page, gift, said) } else { None },
        can_pause: open && change::can_pause(gift),
        paused: open && gift.state == GiftState::Paused,
        reasons: match said.ended.as_deref() == Some(gift.subscription_id.as_str()) && open {
            true => change::REASONS.into_iter().map(reason).collect(),
            false => Vec::new(),
        },
    }
}

/// The form that changes a gift; none where the newsroom does not take its currency any more.
fn change_view(page: &Page, gift: &GiftRow, said: &Said) -> Option<ChangeView> {
    let choice = gift.choice()?;
    let currencies = &page.newsroom.support.currencies;
    let currency = currencies.iter().find(|currency| currency.currency() == choice.money.currency)?;
    let nothing = Asked::default();
    let (asked, faults) = match &said.wrong {
        Some((id, asked, faults)) if *id == gift.subscription_id => (asked, *faults),
        _ => (&nothing, Faults::default()),
    };
    let next = gift.next_at().map(|at| whole_day(page, at)).unwrap_or_default();
    Some(ChangeView {
        often: ask::changes(page.words, currency, choice, change::rhythms(gift), asked, faults),
        sign: choice.money.currency.sign().to_owned(),
        sign_after: page.words.language() == Language::Ru,
        decimals: choice.money.currency.exponent(),
        from: page.words.say1("support-manage-from", "date", &next),
    })
}

fn past_view(page: &Page, entry: &Entry) -> PastView {
    let words = &page.words;
    let what = match (entry.kind, entry.frequency) {
        (LineKind::Payment, frequency) => format!("support-{}", frequency.unwrap_or(Frequency::Once)),
        (LineKind::Refund, _) => "support-line-refund".to_owned(),
        (LineKind::Dispute | LineKind::Fee, _) => "support-line-dispute".to_owned(),
        (LineKind::Reversal, _) => "support-line-reversal".to_owned(),
    };
    PastView {
        date: day(words, entry.at),
        machine_date: entry.at.to_jiff().strftime("%Y-%m-%d").to_string(),
        what: words.say(&what),
        amount: entry.money().map(|money| money.display(words.language())).unwrap_or_default(),
        receipt: (entry.kind == LineKind::Payment).then(|| entry.object_id.clone()),
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    #[serde(default)]
    pub gift: String,
}

/// The gift of that id, if it is this giver's.
pub(super) async fn own(app: &App, donor: &[u8], id: &str) -> Result<GiftRow, Problem> {
    let gifts = gifts::of_donor(&app.db, donor).await?;
    gifts.into_iter().find(|gift| gift.subscription_id == id).ok_or(Problem::NotFound)
}

/// Whose link it is, and Stripe, where something is to be done.
pub(super) fn act<'a>(app: &'a App, token: &str) -> Result<(Vec<u8>, &'a Stripe), Problem> {
    let donor = donor(app, token)?;
    app.limits.check(&ACTS, &data_encoding::HEXLOWER.encode(&donor))?;
    Ok((donor, app.stripe.as_ref().ok_or(Problem::Closed)?))
}

async fn end(
    State(app): State<Shared>,
    page: Page,
    Path(token): Path<String>,
    Form(which): Form<Which>,
) -> Result<Response, Problem> {
    let (donor, stripe) = act(&app, &token)?;
    let gift = own(&app, &donor, &which.gift).await?;
    let page = page.speaking(gift.language);
    if let Err(error) = end_at_stripe(&app, stripe, &gift).await {
        return change::answer(&app, page, token, &donor, Err(error), "support-manage-down").await;
    }
    let done = Some(page.say("support-manage-ended-now"));
    let said = Said { done, ended: Some(gift.subscription_id), ..Said::default() };
    show_gifts(&app, page, token, &donor, said).await
}

/// Ends a gift at Stripe and takes Stripe's word for it.
async fn end_at_stripe(app: &App, stripe: &Stripe, gift: &GiftRow) -> Result<(), Trouble> {
    if gift.state == GiftState::Ended {
        return Ok(());
    }
    change::at_stripe(app, gift, async { calls::end(stripe, &gift.subscription_id).await }).await
}

async fn portal(
    State(app): State<Shared>,
    page: Page,
    Path(token): Path<String>,
    Form(which): Form<Which>,
) -> Result<Response, Problem> {
    let (donor, stripe) = act(&app, &token)?;
    let gift = own(&app, &donor, &which.gift).await?;
    let customer = gift.customer_id.ok_or(Problem::NotFound)?;
    let back = app.config.link(&format!("/support/manage/{token}"));
    match calls::portal(stripe, &customer, back, db::new_id()).await {
        Ok(Portal { url: Some(url), .. }) => Ok(Redirect::to(&url).into_response()),
        Ok(_) => change::answer(&app, page, token, &donor, Err(Trouble::Lacks("an address")), "").await,
        Err(error) => change::answer(&app, page, token, &donor, Err(error.into()), "").await,
    }
}

/// Ends what still runs, at Stripe first, and then cuts every tie to the address.
async fn forget(State(app): State<Shared>, page: Page, Path(token): Path<String>) -> Result<Response, Problem> {
    let donor = donor(&app, &token)?;
    for gift in &gifts::not_ended_of(&app.db, &donor).await? {
        let stripe = app.stripe.as_ref().ok_or(Problem::Closed)?;
        if let Err(error) = end_at_stripe(&app, stripe, gift).await {
            tracing::error!(gift = gift.id, "a gift could not be ended, so its giver is not forgotten");
            return change::answer(&app, page, token, &donor, Err(error), "").await;
        }
    }
    let mut tx = app.db.begin().await?;
    reminders::drop_for(&mut tx, &donor).await?;
    if !gifts::untie(&mut tx, &donor).await? {
        drop(tx);
        return change::answer(&app, page, token, &donor, Err(Trouble::Lacks("an end")), "").await;
    }
    tx.commit().await?;
    let (title, lede) = (page.say("support-manage-forgotten-title"), page.say("support-manage-forgotten"));
    render(&OnePage { title, lede, more: None, button: None, link: None, page })
}
