# The words of `digest`: the mail's frame, the archive, the home page.
digest-number = No. { $number }
digest-day-month = { $day } { $month }
digest-day-month-year = { $day } { $month } { $year }
digest-day-short = { $day } { $month ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sep
    [10] Oct
    [11] Nov
   *[12] Dec
    }
digest-month-year = { $month ->
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
    } { $year }
digest-section-news = News
digest-section-features = Features
digest-section-analysis = Analysis
digest-section-opinion = Opinion
digest-section-photos = Photos
digest-byline = { $author }, { $date }
digest-read-on-web = Read it on the web
digest-on-web = On the web
digest-in-this-mail = In this mail.
digest-whole-here = The whole text is here: nothing has to be opened.
digest-same-on-site = The same on our site
digest-read-on-site = Read it on our site
digest-links-of = Links in this text:
digest-ask-lead = Our readers keep us going.
digest-ask-text = Please support us monthly, from { $minimum }. It is quick to set up.
digest-ask-button = Support us
digest-ask-donate = Donate
digest-ask-not-from = Please do not give from { $countries }.
digest-ask-danger = Please do not give from a country where it could put you in danger.
digest-ask-why = Why
digest-ask-remind = Remind me later
digest-ask-message = A message from { $newsroom }
digest-or = or
digest-country-ru = Russia
digest-country-by = Belarus
digest-why-you = You get “{ $newsletter }” because you asked { $newsroom } for it.
digest-no-tracking = We do not record whether you open this mail or what you click.
digest-unsubscribe = Unsubscribe
digest-preferences = Edition, language, pause
digest-preferences-text = Edition, language, pause:
digest-unsubscribe-text = Unsubscribe:
digest-privacy-text = Privacy Policy:
digest-welcome-subject = Welcome to { $newsletter }
digest-welcome-lede = You are on the list for { $newsletter }. Thank you for reading us.
digest-welcome-at-place = { $every }, at { $time } in { $place }, it comes to this address.
digest-welcome-at-utc = { $every }, at { $time } UTC, it comes to this address.
digest-welcome-on-its-way = The issue that is going out now comes to you as well, in a mail of its own.
digest-welcome-leave = You can leave, pause or change how it comes whenever you like. The links for that stand at the foot of this mail and of each issue, and are yours alone.
digest-test-full = full text
digest-test-links = headlines and links
digest-test-plain = plain text
digest-free = { $newsletter } · free
digest-every = { $day ->
    [1] Every Monday
    [2] Every Tuesday
    [3] Every Wednesday
    [4] Every Thursday
    [5] Every Friday
    [6] Every Saturday
   *[7] Every Sunday
    }
digest-every-in = { $every }, { $language }
digest-in-en = in English
digest-in-ru = in Russian
digest-went-out = No. { $number } went out on { $date }
digest-home-title = Newsletters
digest-home-in = In No. { $number }
digest-home-read = Read the whole issue
digest-home-all = All newsletters
digest-one-mail = One mail: { $every }
digest-at-place = At { $time } in { $place }. Unsubscribe with one click, or pause while you travel.
digest-at-utc = At { $time } UTC. Unsubscribe with one click, or pause while you travel.
digest-blocked = Readable where our site is blocked
digest-blocked-text = Choose full text, and every article is in the mail itself. Nothing has to be opened.
digest-nobody-watches = Nobody watches you read
digest-nobody-watches-text = Your address is stored sealed. We do not record what you open, what you click or where you are.
digest-which-address = Which address should I use from inside Russia or Belarus?
digest-which-address-text = Mail.ru, Yandex Mail and Rambler must keep your mail and hand it over when asked. If you can, use a mailbox outside Russia and Belarus, under a name that is not yours. { $open }How we protect readers{ $close }
digest-preview = Preview: No. { $number }
digest-latest = The latest issue
digest-read-in-full = Read it in full
digest-none-yet = No issue yet. The first one comes on { $date }.
digest-none-yet-short = No issue yet.
digest-archive-title = Past issues
digest-archive-of = Past issues of { $newsletter }
digest-archive-count = { $n ->
    [one] { $n } issue in { $year }
   *[other] { $n } issues in { $year }
    }
digest-archive-feed = Feed
digest-archive-years = Years
digest-archive-others = Other newsletters
digest-archive-next = Get the next one by mail
digest-issue-title = { $subject } – No. { $number } of { $newsletter }
digest-issue-contents = In this issue
digest-issue-others = Other issues
digest-issue-all = All issues
digest-issue-next = Get the next one by mail
digest-feed-title = { $newsletter }, { $newsroom }
