# The words of `support`.
support-title = { $word ->
    [donate] Donate to { $name }
   *[support] Support { $name }
}
support-kicker = Reader support
support-lede = Your support, no matter how small, keeps independent journalism going. Monthly, it starts from { $amount }, and it is quick to set up.
support-appeal-title = A message from { $name }
support-back = Back to giving

# Countries in which giving can be prosecuted. The first form follows "live", the second "give".
support-in = { $code ->
    [AZ] in Azerbaijan
    [BY] in Belarus
    [CN] in China
    [CU] in Cuba
    [EG] in Egypt
    [ER] in Eritrea
    [GE] in Georgia
    [IR] in Iran
    [KG] in Kyrgyzstan
    [KZ] in Kazakhstan
    [MM] in Myanmar
    [NI] in Nicaragua
    [RU] in Russia
    [SA] in Saudi Arabia
    [TJ] in Tajikistan
    [TM] in Turkmenistan
    [TR] in Turkey
    [UZ] in Uzbekistan
    [VE] in Venezuela
    [VN] in Vietnam
   *[other] in { $code }
}
support-from = { $code ->
    [AZ] from Azerbaijan
    [BY] from Belarus
    [CN] from China
    [CU] from Cuba
    [EG] from Egypt
    [ER] from Eritrea
    [GE] from Georgia
    [IR] from Iran
    [KG] from Kyrgyzstan
    [KZ] from Kazakhstan
    [MM] from Myanmar
    [NI] from Nicaragua
    [RU] from Russia
    [SA] from Saudi Arabia
    [TJ] from Tajikistan
    [TM] from Turkmenistan
    [TR] from Turkey
    [UZ] from Uzbekistan
    [VE] from Venezuela
    [VN] from Vietnam
   *[other] from { $code }
}
support-or = or

support-risk = First: do you live { $countries }, or travel there?
support-risk-no = No
support-risk-yes = Yes, or I may
support-risk-why = Why we ask
support-risk-stop = Then please do not give.
support-risk-stop-why = Even a small gift to us can be prosecuted there, even years later.
support-risk-instead = What you can do instead
support-risk-end = I already give, and want to end it
support-risk-missing = Choose one of the two
support-risk-missing-link = Answer the first question

support-how-often = How often
support-once = Once
support-monthly = Monthly
support-annual = Annual
support-each-once = How much
support-each-monthly = How much each month
support-each-annual = How much each year
support-other-amount = Other amount, { $sign }
support-other-once = Other amount in { $currency }, once
support-other-monthly = Other amount in { $currency }, each month
support-other-annual = Other amount in { $currency }, each year
support-least-once = From { $amount }
support-least-monthly = From { $amount } a month. End it whenever you like.
support-least-annual = From { $amount } a year. End it whenever you like.
support-currency = Currency
support-currency-name = { $code ->
    [USD] US dollars
    [EUR] euros
    [GBP] pounds
    [CHF] Swiss francs
    [SEK] Swedish kronor
    [NOK] Norwegian kroner
    [DKK] Danish kroner
    [PLN] Polish złoty
    [CZK] Czech koruna
    [CAD] Canadian dollars
    [AUD] Australian dollars
    [JPY] yen
    [UAH] hryvnias
    [GEL] lari
    [KZT] tenge
    [ILS] shekels
   *[other] { $code }
}
support-give = { $word ->
    [donate] Donate
   *[support] Give
}
support-give-once = once
support-give-monthly = monthly
support-give-annual = annually
support-method = { $name ->
    [card] card
    [apple_pay] Apple Pay
    [google_pay] Google Pay
    [link] Link
    [paypal] PayPal
    [sepa_debit] SEPA debit
    [ideal] iDEAL
    [bancontact] Bancontact
    [twint] TWINT
    [bank] bank transfer
    [klarna] Klarna
   *[other] { $name }
}
support-pay-by = You can pay by { $methods }.
support-cover = Cover the payment fee as well ({ $fee }), so that your whole gift reaches us
support-task-working = One moment: your browser is proving that it is not a card thief’s program.
support-task-again = Somebody is trying stolen cards here just now, so we let few payments through at a time. Please press the button once more. Without scripts in your browser it may take some minutes; nothing has been paid.
support-at-stripe = You confirm on Stripe’s page. Nothing is taken before that.
support-statement = Your bank statement will say:
support-trace = Your bank and Stripe, which takes the payment, also keep a number that leads to us, whatever the words say.
support-not-today = Not ready to support today?
support-remind-link = Remind me later
support-manage-link = I already give

support-problems = { $n ->
    [one] Please correct one thing. Nothing has been paid.
   *[other] Please correct { $n } things. Nothing has been paid.
}
support-problems-title = Error
support-amount-missing = Choose an amount, or type your own
support-amount-unreadable = Type the amount as a number, such as { $example }
support-amount-two = One amount is chosen and another typed. Keep one of the two
support-amount-little-once = The smallest gift is { $amount }
support-amount-little-monthly = The smallest monthly gift is { $amount }
support-amount-little-annual = The smallest annual gift is { $amount }
support-amount-much = The largest gift here is { $amount }. For more, please write to us
support-frequency-unknown = Choose how often: once, monthly or annual
support-currency-unknown = This currency is not taken here. Choose one of: { $codes }
support-stripe-down = The payment page could not be opened just now. Nothing has been paid; please try again in a minute.

support-closed-lede = Giving is not open here yet. Please come back soon, or leave an address and we will remind you.
support-closed-remind = Remind me
support-closed-read = Read the newsletter meanwhile

support-safety-title = Please do not give { $from }
support-safety-title-bare = Giving safely
support-safety-lede = Thank you for wanting to help. Your safety matters more to us than your money.
support-safety-why = Why
support-safety-why-law = In some countries, giving money to an independent newsroom can be prosecuted as a crime, already the first time and even for a small sum.
support-safety-why-banks = Banks keep payments for years. Beside the words on your statement they keep a merchant number, and that number leads to us. A neutral wording does not hide it. A payment that was refused, or refunded, can leave the same trace.
support-safety-please = So please
support-safety-please-bank = do not give with a card or account of a bank there;
support-safety-please-card = do not give from any card if you live there, travel there, or have family there whom this could harm;
support-safety-please-friend = do not send money to someone abroad to give for you: that transfer is a trace as well.
support-safety-instead = What helps us just as much
support-safety-read = Read us. The { $open }newsletter{ $close } can bring the whole text in the mail, so that no site has to be opened.
support-safety-write = Write to us about what you see, from a place and with a device that are safe.
support-safety-given = If you have given already
support-safety-end = A monthly or annual gift can be { $open }ended here{ $close }; that is done at once. A refund can be seen by your bank too, so it is not always the better way. Before you travel, speak to a lawyer whom you trust.
support-safety-kept = Your answer to our question has not been stored, and no mail will mention it.
support-safety-back = I live elsewhere and do not travel there: back to giving

support-thanks = Thank you
support-thanks-once = Your gift of { $amount } has arrived. It keeps open, independent journalism going.
support-thanks-monthly = You give { $amount } each month from today. It keeps open, independent journalism going.
support-thanks-annual = You give { $amount } each year from today. It keeps open, independent journalism going.
support-thanks-again-monthly = Your monthly gift of { $amount } has arrived. It keeps open, independent journalism going.
support-thanks-again-annual = Your annual gift of { $amount } has arrived. It keeps open, independent journalism going.
support-thanks-today = Today
support-thanks-amount = Amount
support-thanks-next = Next time
support-thanks-state = State
support-thanks-statement = Your statement says
support-thanks-receipt = Receipt
support-thanks-mail = It is on its way to you by mail
support-thanks-change = { $open }See it, change, pause or end it{ $close } whenever you like.
support-thanks-travel = Keep no receipt on a phone that you take along if you travel where giving to us can be prosecuted.
support-thanks-pending = Your gift of { $amount } is on its way. Some ways to pay take up to six working days; we write to you once it has arrived.
support-thanks-on-its-way = On its way
support-thanks-close = You can close this page.
support-thanks-read-title = Do you read our newsletter?
support-thanks-read = News, features and analysis, free. We do not join the list of those who give to the list of those who read.
support-thanks-read-link = Sign up
support-unfinished-title = Nothing has been paid
support-unfinished = The payment was not finished. If you like, begin again: it takes a minute.
support-failed = Your bank did not let the payment through, so nothing was given. If you like, begin again, perhaps with another card or way to pay.

support-frequency-once = once
support-frequency-monthly = monthly
support-frequency-annual = annual

support-remind-title = Remind me later
support-remind-lede = Choose a month. We write once, and once more if you have not given. Then your address is erased.
support-remind-when = When
support-remind-hint = We send one mail first, with one button. This does not sign you up for the newsletter. You agree to the { $open }Privacy Policy{ $close }.
support-remind-button = Remind me
support-remind-month-bad = Choose a month from the list
support-email = Your email address
support-email-bad = Type an address such as name@example.org
support-sent-title = Please look into your mailbox
support-sent-remind = We have sent a mail with a button to that address. The reminder is set once you press it; until then we keep nothing.
support-sent-manage = If a gift was made with that address, a link to it is on its way. It works for 72 hours.
support-sent-nothing = No mail after some minutes? Look into the spam folder, or try again tomorrow: we send one such mail a day to an address.
support-remind-confirm-title = One more press
support-remind-confirm = Press the button, and we write to you in { $month }. Your address is kept sealed until then, and erased after the last mail.
support-remind-confirm-button = Yes, remind me
support-remind-over-title = This month has passed
support-remind-over = The month that you chose is over, so there is nothing to remind you of. You can choose another.
support-remind-set-title = The reminder is set
support-remind-set = We write to you on { $date }. The mail has a button that cancels it.
support-remind-cancel-title = Cancel the reminder
support-remind-cancel = One press, and your address is erased.
support-remind-cancel-button = Erase my address
support-remind-cancelled-title = Your address is erased
support-remind-cancelled = We will not write to you about this again.

support-manage-title = Your gift
support-manage-ask = See what you give, change, pause or end it. We send a link to the address that you gave with.
support-manage-hint = The answer is the same whether or not we know the address.
support-manage-send = Send me the link
support-manage-none = We know of no gift with this address any more.
support-manage-gift = You give
support-manage-gave = You gave
support-manage-each-monthly = { $amount } each month since { $date }
support-manage-each-annual = { $amount } each year since { $date }
support-manage-next = Next time
support-manage-ends = Ends on
support-manage-ended = Ended on
support-manage-state = State
support-state-pending = Not begun yet
support-state-active = Active
support-state-failing = The last payment failed
support-state-paused = Paused
support-state-ended = Ended
support-manage-until = Paused until
support-manage-change = Change it
support-manage-change-text = The change holds from the next payment on; nothing is taken for it.
support-manage-from = from { $date }
support-manage-changed = Your gift has changed. Nothing was taken for it; the next payment is the new one.
support-manage-same = Your gift is what it was: nothing has changed.
support-manage-pause = Pause
support-manage-pause-for = Nothing is taken for
support-manage-pause-button = Pause
support-manage-pause-bad = Choose one, two or three months.
support-manage-paused = Your gift is paused. Nothing is taken meanwhile.
support-manage-months = { $n ->
    [one] { $n } month
   *[other] { $n } months
}
support-manage-resume = Go on
support-manage-resume-button = End the pause now
support-manage-resumed = Your gift goes on with the next payment.
support-manage-why = If you like, tell us why. You need not.
support-manage-why-send = Send
support-manage-why-bad = Choose one of the reasons.
support-manage-why-thanks = Thank you for telling us.
support-why-too-expensive = It is too much for me now
support-why-unused = I read you less
support-why-switched-service = I support others now
support-why-low-quality = I am not content with what you publish
support-why-other = Another reason
support-manage-download = Download it all
support-receipt-title = Receipt
support-receipt-of = Receipt of { $date }
support-receipt-to = Given to
support-receipt-back-of = Given back since
support-receipt-print = To keep it, print this page. If you travel where giving to us can be prosecuted, keep nothing.
support-receipt-back = Back to your gift
support-manage-card = Your card
support-manage-card-text = Stripe keeps it, not we.
support-manage-card-button = Change the card at Stripe
support-manage-end = End it
support-manage-end-text = One press, no questions. What you have given stays given.
support-manage-end-monthly = End my monthly gift
support-manage-end-annual = End my annual gift
support-manage-ended-now = Your gift has ended. Nothing more will be taken.
support-manage-past = What you have given
support-manage-date = Date
support-manage-what = What
support-manage-amount = Amount
support-line-refund = Refund
support-line-dispute = Taken back by the bank
support-line-reversal = Came back to us
support-manage-held = What we hold
support-manage-held-text = Stripe’s numbers for your gift, the amounts and dates above, and a mark of your address that cannot be read back. Your name, address and card are with Stripe alone.
support-manage-forget = End the gift and forget me
support-manage-forget-only = Forget me
support-manage-forgotten-title = Forgotten
support-manage-forgotten = Your gift has ended and nothing here leads to you any more. Stripe keeps what the law makes it keep.
support-manage-down = Stripe cannot be reached just now, so nothing was changed. Please try again in a few minutes.

support-mail-from = Reader support
support-mail-thanks-subject = Thank you
support-mail-begun-monthly = Your monthly gift has begun
support-mail-begun-annual = Your annual gift has begun
support-mail-each-once = { $amount } once
support-mail-each-monthly = { $amount } each month
support-mail-each-annual = { $amount } each year
support-mail-paid = Paid
support-mail-paid-on = { $amount } on { $date }
support-mail-frequency = Frequency
support-mail-next = { $frequency }; next on { $date }
support-mail-statement = On your statement
support-mail-number = Receipt number
support-mail-manage = See, change, pause or end it
support-mail-see = See what you have given
support-mail-keep = We keep no name, address or card: Stripe does. If you travel where giving to us can be prosecuted, delete this mail before.
support-mail-thanks-why = You get this mail because you gave. It is sent once.

support-mail-failed-subject = Your payment did not go through
support-mail-failed-monthly = Your monthly gift of { $amount } could not be taken on { $date }. That happens; nothing is lost.
support-mail-failed-annual = Your annual gift of { $amount } could not be taken on { $date }. That happens; nothing is lost.
support-mail-failed-once = Your gift of { $amount } did not arrive: your bank did not let it through. Nothing has been taken.
support-mail-failed-last = Your gift of { $amount } could not be taken, and this was the last try. Nothing is owed.
support-mail-failed-ask = Your bank wants to ask you before it lets your gift of { $amount } through.
support-mail-failed-confirm = Confirm the payment
support-mail-failed-button = Use another card
support-mail-failed-again = Give again
support-mail-failed-retry = We try again
support-mail-failed-retry-on = on { $date }
support-mail-failed-then = If that fails
support-mail-failed-then-ends = the gift ends
support-mail-failed-owe = What you owe
support-mail-failed-nothing = nothing
support-mail-failed-safety = Do you now live where giving to us can be prosecuted, or travel there? Then please do not renew it: end the gift on the same page, or simply let it end.
support-mail-failed-why = You get this mail because a gift of yours needs you.

support-mail-confirm-subject = Please confirm the reminder
support-mail-confirm = Someone, we hope you, asked to be reminded in { $month }. Press the button, and the reminder is set.
support-mail-confirm-button = Yes, remind me
support-mail-confirm-how = The button opens a page with one more press; that is how we know that it was a person. It works for 72 hours.
support-mail-confirm-not-you = You did not ask? Do nothing. We have stored nothing, and you will not hear from us again.

support-mail-remind-subject = You asked us to remind you
support-mail-remind = In { $month } you wanted to support { $name }, only not that day. If you can today, it takes a minute: monthly, from { $amount }.
support-mail-remind-button = Support us
support-mail-remind-safety = Please do not give from a country where it can be prosecuted.
support-mail-remind-first = Not any more? You can erase your address with the link below. Otherwise we write once more in { $month }, and then it is erased.
support-mail-remind-last = This was the last of two. Your address is erased with it.
support-mail-remind-preheader-first = You chose { $month }. This is the first of two.
support-mail-remind-preheader-last = This is the second of two, and the last.
support-mail-remind-cancel = Forget this reminder
support-mail-remind-why = You get this mail because you asked for it on our support page.

support-mail-manage-subject = The link to your gift
support-mail-manage-text = With this link you see what you give, change, pause or end it. It works for 72 hours; whoever has it can do the same, so pass it on to nobody.
support-mail-manage-button = Open my gift
support-mail-manage-why = You get this mail because someone, we hope you, asked for it on our support page.

support-mail-changed-subject = Your gift has changed
support-mail-changed-text = As you wished, your gift is now { $gift }. Nothing has been taken for the change.
support-mail-paused-subject = Your gift is paused
support-mail-paused-text = As you wished, your gift of { $gift } is paused. Nothing is taken meanwhile, and nothing is owed for it later.
support-mail-resumes-subject = The pause of your gift ends soon
support-mail-resumes-text = You had paused your gift of { $gift }. The pause ends soon; if that does not suit you, pause it again or end it.
support-mail-renews-subject = Your annual gift renews soon
support-mail-renews-text = A year ago you decided to give { $gift }. It renews by itself soon. If you want to change or end it, there is time.
support-mail-card-subject = Your card runs out soon
support-mail-card-text = The card for your gift of { $gift } runs out before the next payment. Often the bank tells Stripe the new one by itself; if you have a new card already, you can enter it now.
support-mail-was = Until now
support-mail-is = From now on
support-mail-paused-until = Paused until
support-mail-card-until = The card is good until
support-mail-next-payment = Next payment
support-mail-gift-safety = Do you now live where giving to us can be prosecuted, or travel there? Then please end the gift on the same page.
support-mail-gift-why = You get this mail because it is about a gift of yours.

support-mail-ended-subject = Your gift has ended
support-mail-ended = Your gift of { $amount } has ended. Nothing more will be taken, and what you have given stays given. Thank you.
support-mail-ended-failed = Your gift of { $amount } has ended, because the payment could not be taken. You owe nothing. Thank you for what you have given.
support-mail-ended-disputed = Your gift of { $amount } has ended, because your bank took a payment back. Nothing more will be taken. Thank you for what you have given.
support-mail-ended-why = You get this mail because a gift of yours has ended. It is sent once.

support-month = { $month ->
    [1] January
    [2] February
    [3] March
    [4] April
    [5] May
    [6] June
    [7] July
    [8] August
    [9] September
    [10] October
    [11] November
   *[12] December
}
support-month-in = { support-month } { $year }
