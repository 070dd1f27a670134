//! What the codes of Toss Payments mean to us. The lists are closed: a code that is not
//! in them says nothing about the money, also one that the provider adds tomorrow.

/// What a code says, beside what a look-up would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The card, the account or the issuer refuses. The payment is over.
    Declined,
    /// The buyer's session is not there, or not any more.
    SessionExpired,
    /// Confirm: the provider has no payment of that key.
    NoPayment,
    /// The payment was confirmed before; a look-up tells by whom.
    AlreadyProcessed,
    /// The order was paid before; a look-up tells with which payment.
    DuplicateOrder,
    /// The first request with this key is under way, or we ask too often.
    Wait,
    /// Our key or our rights.
    Configuration,
    /// Cancel: nothing is left to give back.
    AlreadyCancelled,
    /// Cancel: less is left.
    MoreThanBalance,
    /// Cancel: the provider does not give it back.
    NotCancelable,
    /// Anything else.
    Unlisted,
}

const DECLINED: [&str; 27] = [
    "EXCEED_MAX_AMOUNT",
    "EXCEED_MAX_AUTH_COUNT",
    "EXCEED_MAX_CARD_INSTALLMENT_PLAN",
    "EXCEED_MAX_DAILY_PAYMENT_COUNT",
    "EXCEED_MAX_MONTHLY_PAYMENT_AMOUNT",
    "EXCEED_MAX_ONE_DAY_AMOUNT",
    "EXCEED_MAX_ONE_DAY_WITHDRAW_AMOUNT",
    "EXCEED_MAX_ONE_TIME_WITHDRAW_AMOUNT",
    "EXCEED_MAX_PAYMENT_AMOUNT",
    "BELOW_MINIMUM_AMOUNT",
    "FDS_ERROR",
    "INVALID_ACCOUNT_INFO_RE_REGISTER",
    "INVALID_CARD_EXPIRATION",
    "INVALID_CARD_INSTALLMENT_PLAN",
    "INVALID_CARD_LOST_OR_STOLEN",
    "INVALID_CARD_NUMBER",
    "INVALID_PASSWORD",
    "INVALID_REJECT_CARD",
    "INVALID_STOPPED_CARD",
    "NOT_ALLOWED_POINT_USE",
    "NOT_SUPPORTED_INSTALLMENT_PLAN_CARD_OR_MERCHANT",
    "NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN",
    "REJECT_ACCOUNT_PAYMENT",
    "REJECT_CARD_COMPANY",
    "REJECT_CARD_PAYMENT",
    "REJECT_TOSSPAY_INVALID_ACCOUNT",
    "RESTRICTED_TRANSFER_ACCOUNT",
];

const NOT_CANCELABLE: [&str; 11] = [
    "ALREADY_REFUND_PAYMENT",
    "EXCEED_CANCEL_AMOUNT_DISCOUNT_AMOUNT",
    "EXCEED_MAX_REFUND_DUE",
    "INVALID_REFUND_ACCOUNT_INFO",
    "INVALID_REFUND_ACCOUNT_NUMBER",
    "NOT_ALLOWED_PARTIAL_REFUND",
    "NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT",
    "NOT_CANCELABLE_PAYMENT",
    "NOT_CANCELABLE_PAYMENT_FOR_DORMANT_USER",
    "NOT_MATCHES_REFUNDABLE_AMOUNT",
    "REFUND_REJECTED",
];

/// What `code` means in the body of a reply with `status`. A 5xx means nothing, whatever
/// it says: the provider may have acted before it failed.
pub(super) fn meaning(status: u16, code: &str) -> Meaning {
    if !(400..500).contains(&status) {
        return Meaning::Unlisted;
    }
    match code {
        "NOT_FOUND_PAYMENT_SESSION" => Meaning::SessionExpired,
        "NOT_FOUND_PAYMENT" if status == 404 => Meaning::NoPayment,
        // A key that is none, such as one that somebody has made up.
        "INVALID_REQUEST" if status == 400 => Meaning::NoPayment,
        "ALREADY_PROCESSED_PAYMENT" => Meaning::AlreadyProcessed,
        "DUPLICATED_ORDER_ID" => Meaning::DuplicateOrder,
        "IDEMPOTENT_REQUEST_PROCESSING" => Meaning::Wait,
        "UNAUTHORIZED_KEY"
        | "INVALID_API_KEY"
        | "FORBIDDEN_REQUEST"
        | "INCORRECT_BASIC_AUTH_FORMAT" => Meaning::Configuration,
        "ALREADY_CANCELED_PAYMENT" => Meaning::AlreadyCancelled,
        "NOT_CANCELABLE_AMOUNT" => Meaning::MoreThanBalance,
        _ if DECLINED.contains(&code) => Meaning::Declined,
        _ if NOT_CANCELABLE.contains(&code) => Meaning::NotCancelable,
        _ if status == 429 || status == 409 => Meaning::Wait,
        _ => Meaning::Unlisted,
    }
}
