# Слова комнаты `digest`: рамка письма, архив, главная страница.
digest-number = № { $number }
digest-day-month = { $day } { $month }
digest-day-month-year = { $day } { $month } { $year }
digest-day-short = { $day } { $month ->
    [1] янв.
    [2] февр.
    [3] марта
    [4] апр.
    [5] мая
    [6] июня
    [7] июля
    [8] авг.
    [9] сент.
    [10] окт.
    [11] нояб.
   *[12] дек.
    }
digest-month-year = { $month ->
    [1] Январь
    [2] Февраль
    [3] Март
    [4] Апрель
    [5] Май
    [6] Июнь
    [7] Июль
    [8] Август
    [9] Сентябрь
    [10] Октябрь
    [11] Ноябрь
   *[12] Декабрь
    } { $year }
digest-section-news = Новости
digest-section-features = Репортажи
digest-section-analysis = Анализ
digest-section-opinion = Мнения
digest-section-photos = Фотографии
digest-byline = { $author }, { $date }
digest-read-on-web = Открыть на сайте
digest-on-web = На сайте
digest-in-this-mail = В этом письме.
digest-whole-here = Здесь весь текст: ничего открывать не нужно.
digest-same-on-site = То же на нашем сайте
digest-read-on-site = Читать на нашем сайте
digest-links-of = Ссылки в этом тексте:
digest-ask-lead = Мы работаем благодаря читателям.
digest-ask-text = Поддержите нас ежемесячно, от { $minimum }. Это быстро.
digest-ask-button = Поддержать
digest-ask-donate = Поддержать
digest-ask-not-from = Пожалуйста, не переводите деньги из { $countries }.
digest-ask-danger = Пожалуйста, не переводите деньги из страны, где это для вас опасно.
digest-ask-why = Почему
digest-ask-remind = Напомнить позже
digest-ask-message = Обращение редакции { $newsroom }
digest-or = или
digest-country-ru = России
digest-country-by = Беларуси
digest-why-you = Рассылка «{ $newsletter }» приходит, потому что на неё подписан ваш адрес. Её готовит { $newsroom }.
digest-no-tracking = Мы не записываем, открываете ли вы письмо и куда нажимаете.
digest-unsubscribe = Отписаться
digest-preferences = Вид письма, язык, пауза
digest-preferences-text = Вид письма, язык, пауза:
digest-unsubscribe-text = Отписаться:
digest-privacy-text = Политика конфиденциальности:
digest-welcome-subject = Вы подписаны на рассылку «{ $newsletter }»
digest-welcome-lede = Вы подписаны на рассылку «{ $newsletter }». Спасибо, что читаете нас.
digest-welcome-at-place = { $every } в { $time } (часовой пояс { $zone }) она приходит на этот адрес.
digest-welcome-at-utc = { $every } в { $time } по Гринвичу (UTC) она приходит на этот адрес.
digest-welcome-on-its-way = Выпуск, который рассылается сейчас, придёт и вам, отдельным письмом.
digest-welcome-leave = Отписаться, сделать паузу или выбрать другой вид письма можно в любой момент. Ссылки для этого стоят внизу этого письма и каждого выпуска, они только ваши.
digest-test-full = полный текст
digest-test-links = заголовки и ссылки
digest-test-plain = простой текст
digest-free = { $newsletter } · бесплатно
digest-every = { $day ->
    [1] Каждый понедельник
    [2] Каждый вторник
    [3] Каждую среду
    [4] Каждый четверг
    [5] Каждую пятницу
    [6] Каждую субботу
   *[7] Каждое воскресенье
    }
digest-every-in = { $every }, { $language }
digest-in-en = на английском
digest-in-ru = на русском
digest-went-out = № { $number } от { $date }
digest-home-title = Рассылки
digest-home-in = В выпуске № { $number }
digest-home-read = Прочитать выпуск целиком
digest-home-all = Все рассылки
digest-one-mail = Одно письмо: { $every }
digest-at-place = В { $time }, часовой пояс { $zone }. Отписаться можно одним нажатием, а на время поездки — сделать паузу.
digest-at-utc = В { $time } по Гринвичу (UTC). Отписаться можно одним нажатием, а на время поездки — сделать паузу.
digest-blocked = Читается и там, где сайт заблокирован
digest-blocked-text = Выберите полный текст, и все статьи будут в самом письме. Ничего открывать не нужно.
digest-nobody-watches = Никто не следит за тем, как вы читаете
digest-nobody-watches-text = Адрес хранится в зашифрованном виде. Мы не записываем, что вы открываете, куда нажимаете и где находитесь.
digest-which-address = Каким адресом пользоваться в России и Беларуси?
digest-which-address-text = Mail.ru, Яндекс и Рамблер обязаны хранить вашу почту и выдавать её по запросу. Если можете, заведите ящик за пределами России и Беларуси и не указывайте в нём своё имя. { $open }Как мы бережём читателей{ $close }
digest-preview = Последний выпуск: № { $number }
digest-latest = Последний выпуск
digest-read-in-full = Прочитать целиком
digest-none-yet = Выпусков пока нет. Дата первого: { $date }.
digest-none-yet-short = Выпусков пока нет.
digest-archive-title = Архив
digest-archive-of = Архив рассылки «{ $newsletter }»
digest-archive-count = { $n ->
    [one] { $n } выпуск за { $year } год
    [few] { $n } выпуска за { $year } год
   *[other] { $n } выпусков за { $year } год
    }
digest-archive-feed = Лента
digest-archive-years = Годы
digest-archive-others = Другие рассылки
digest-archive-next = Получать новые выпуски по почте
digest-issue-title = { $subject } – № { $number }, «{ $newsletter }»
digest-issue-contents = В этом выпуске
digest-issue-others = Другие выпуски
digest-issue-all = Все выпуски
digest-issue-next = Получать новые выпуски по почте
digest-feed-title = { $newsletter }, { $newsroom }
