# The words of `support`.
support-title = { $word ->
    [donate] Пожертвовать { $name }
   *[support] Поддержите { $name }
}
support-kicker = Поддержка читателей
support-lede = Любая поддержка, даже самая небольшая, помогает независимой журналистике. Ежемесячно — от { $amount }, и это займёт минуту.
support-appeal-title = Обращение { $name }
support-back = Вернуться к поддержке

# Страны, где за перевод могут преследовать. Первая форма следует за «живёте», вторая за «переводите».
support-in = { $code ->
    [AZ] в Азербайджане
    [BY] в Беларуси
    [CN] в Китае
    [CU] на Кубе
    [EG] в Египте
    [ER] в Эритрее
    [GE] в Грузии
    [IR] в Иране
    [KG] в Кыргызстане
    [KZ] в Казахстане
    [MM] в Мьянме
    [NI] в Никарагуа
    [RU] в России
    [SA] в Саудовской Аравии
    [TJ] в Таджикистане
    [TM] в Туркменистане
    [TR] в Турции
    [UZ] в Узбекистане
    [VE] в Венесуэле
    [VN] во Вьетнаме
   *[other] в стране { $code }
}
support-from = { $code ->
    [AZ] из Азербайджана
    [BY] из Беларуси
    [CN] из Китая
    [CU] с Кубы
    [EG] из Египта
    [ER] из Эритреи
    [GE] из Грузии
    [IR] из Ирана
    [KG] из Кыргызстана
    [KZ] из Казахстана
    [MM] из Мьянмы
    [NI] из Никарагуа
    [RU] из России
    [SA] из Саудовской Аравии
    [TJ] из Таджикистана
    [TM] из Туркменистана
    [TR] из Турции
    [UZ] из Узбекистана
    [VE] из Венесуэлы
    [VN] из Вьетнама
   *[other] из страны { $code }
}
support-or = или

support-risk = Сначала один вопрос: вы живёте { $countries } или бываете там?
support-risk-no = Нет
support-risk-yes = Да или возможно
support-risk-why = Почему мы спрашиваем
support-risk-stop = Тогда, пожалуйста, не переводите нам деньги.
support-risk-stop-why = За это там могут преследовать, даже за небольшую сумму и даже спустя годы.
support-risk-instead = Как помочь иначе
support-risk-end = Я уже поддерживаю и хочу прекратить
support-risk-missing = Выберите один из двух ответов
support-risk-missing-link = Ответьте на первый вопрос

support-how-often = Как часто
support-once = Разово
support-monthly = Ежемесячно
support-annual = Ежегодно
support-each-once = Сколько
support-each-monthly = Сколько в месяц
support-each-annual = Сколько в год
support-other-amount = Другая сумма, { $sign }
support-other-once = Другая сумма, { $currency }, один раз
support-other-monthly = Другая сумма, { $currency }, каждый месяц
support-other-annual = Другая сумма, { $currency }, каждый год
support-least-once = От { $amount }
support-least-monthly = От { $amount } в месяц. Прекратить можно в любой момент.
support-least-annual = От { $amount } в год. Прекратить можно в любой момент.
support-currency = Валюта
support-currency-name = { $code ->
    [USD] доллары США
    [EUR] евро
    [GBP] фунты
    [CHF] швейцарские франки
    [SEK] шведские кроны
    [NOK] норвежские кроны
    [DKK] датские кроны
    [PLN] злотые
    [CZK] чешские кроны
    [CAD] канадские доллары
    [AUD] австралийские доллары
    [JPY] иены
    [UAH] гривны
    [GEL] лари
    [KZT] тенге
    [ILS] шекели
   *[other] { $code }
}
support-give = { $word ->
    [donate] Пожертвовать:
   *[support] Поддержать:
}
support-give-once = один раз
support-give-monthly = ежемесячно
support-give-annual = ежегодно
support-method = { $name ->
    [card] картой
    [apple_pay] через Apple Pay
    [google_pay] через Google Pay
    [link] через Link
    [paypal] через PayPal
    [sepa_debit] прямым дебетом SEPA
    [ideal] через iDEAL
    [bancontact] через Bancontact
    [twint] через TWINT
    [bank] банковским переводом
    [klarna] через Klarna
   *[other] { $name }
}
support-pay-by = Можно заплатить { $methods }.
support-cover = Оплатить и комиссию ({ $fee }), чтобы ваш взнос дошёл до нас целиком
support-task-working = Минуту: ваш браузер доказывает, что он не программа карточных воров.
support-task-again = Сейчас здесь кто-то пробует краденые карты, поэтому мы пропускаем мало платежей за раз. Нажмите, пожалуйста, кнопку ещё раз. Если в браузере выключены скрипты, это может занять несколько минут; деньги не списаны.
support-at-stripe = Вы подтвердите платёж на странице Stripe. До этого деньги не спишут.
support-statement = В банковской выписке будет написано:
support-trace = Ваш банк и Stripe, который проводит платёж, хранят и номер получателя. По нему нас можно узнать, что бы ни стояло в выписке.
support-not-today = Не готовы поддержать сегодня?
support-remind-link = Напомнить позже
support-manage-link = Я уже поддерживаю

support-problems = { $n ->
    [one] Исправьте, пожалуйста, { $n } поле. Деньги не списаны.
    [few] Исправьте, пожалуйста, { $n } поля. Деньги не списаны.
   *[many] Исправьте, пожалуйста, { $n } полей. Деньги не списаны.
}
support-problems-title = Ошибка
support-amount-missing = Выберите сумму или впишите свою
support-amount-unreadable = Впишите сумму числом, например { $example }
support-amount-two = Одна сумма выбрана, другая вписана. Оставьте одну из двух
support-amount-little-once = Наименьшая сумма — { $amount }
support-amount-little-monthly = Наименьший ежемесячный взнос — { $amount }
support-amount-little-annual = Наименьший ежегодный взнос — { $amount }
support-amount-much = Наибольшая сумма здесь — { $amount }. Если хотите больше, напишите нам
support-frequency-unknown = Выберите, как часто: разово, ежемесячно или ежегодно
support-currency-unknown = Эту валюту мы здесь не принимаем. Выберите одну из: { $codes }
support-stripe-down = Страницу оплаты сейчас не удалось открыть. Деньги не списаны; попробуйте, пожалуйста, через минуту.

support-closed-lede = Поддержать нас здесь пока нельзя. Загляните, пожалуйста, позже или оставьте адрес, и мы напомним.
support-closed-remind = Напомнить
support-closed-read = А пока почитать рассылку

support-safety-title = Пожалуйста, не переводите нам деньги { $from }
support-safety-title-bare = Безопасная поддержка
support-safety-lede = Спасибо, что хотите помочь. Ваша безопасность для нас важнее денег.
support-safety-why = Почему
support-safety-why-law = В некоторых странах за деньги независимой редакции могут преследовать как за преступление, уже в первый раз и даже за небольшую сумму.
support-safety-why-banks = Банки хранят сведения о платежах годами. Кроме слов в выписке, они хранят номер получателя, и по нему нас можно узнать. Нейтральная формулировка его не скрывает. Отклонённый или возвращённый платёж может оставить такой же след.
support-safety-please = Поэтому, пожалуйста
support-safety-please-bank = не переводите деньги с карты или счёта тамошнего банка;
support-safety-please-card = не переводите ни с какой карты, если живёте там, бываете там или если там ваша семья, которой это может навредить;
support-safety-please-friend = не пересылайте деньги за границу, чтобы их перевели за вас: такой перевод тоже оставляет след.
support-safety-instead = Что помогает нам не меньше
support-safety-read = Читайте нас. { $open }Рассылка{ $close } может приносить тексты целиком прямо в почту, так что сайт открывать не нужно.
support-safety-write = Пишите нам о том, что видите, из безопасного места и с безопасного устройства.
support-safety-given = Если вы уже нас поддерживаете
support-safety-end = Ежемесячный или ежегодный взнос можно { $open }прекратить здесь{ $close }, сразу. Возврат тоже виден банку, поэтому он не всегда лучше. Перед поездкой поговорите с юристом, которому доверяете.
support-safety-kept = Ваш ответ на вопрос не сохранён, и ни в одном письме о нём не будет речи.
support-safety-back = Я живу в другом месте и не бываю там: вернуться к поддержке

support-thanks = Спасибо
support-thanks-once = Ваш взнос — { $amount } — получен. Он помогает открытой, независимой журналистике.
support-thanks-monthly = С сегодняшнего дня ваш взнос — { $amount } каждый месяц. Он помогает открытой, независимой журналистике.
support-thanks-annual = С сегодняшнего дня ваш взнос — { $amount } каждый год. Он помогает открытой, независимой журналистике.
support-thanks-again-monthly = Ваш ежемесячный взнос — { $amount } — получен. Он помогает открытой, независимой журналистике.
support-thanks-again-annual = Ваш ежегодный взнос — { $amount } — получен. Он помогает открытой, независимой журналистике.
support-thanks-today = Сегодня
support-thanks-amount = Сумма
support-thanks-next = Следующий раз
support-thanks-state = Состояние
support-thanks-statement = В выписке написано
support-thanks-receipt = Квитанция
support-thanks-mail = Она уже отправляется вам письмом
support-thanks-change = { $open }Посмотреть взнос, изменить, приостановить или прекратить{ $close } можно в любой момент.
support-thanks-travel = Не храните квитанцию в телефоне, который берёте с собой туда, где за поддержку могут преследовать.
support-thanks-pending = Ваш взнос — { $amount } — в пути. Некоторые способы оплаты занимают до шести рабочих дней; мы напишем, когда он придёт.
support-thanks-on-its-way = В пути
support-thanks-close = Эту страницу можно закрыть.
support-thanks-read-title = Читаете ли вы нашу рассылку?
support-thanks-read = Новости, репортажи и анализ, бесплатно. Список тех, кто поддерживает, мы не соединяем со списком тех, кто читает.
support-thanks-read-link = Подписаться
support-unfinished-title = Деньги не списаны
support-unfinished = Платёж не завершён. Если хотите, начните заново: это займёт минуту.
support-failed = Банк не пропустил платёж, и деньги не списаны. Если хотите, начните заново, возможно, с другой картой или другим способом оплаты.

support-frequency-once = один раз
support-frequency-monthly = ежемесячно
support-frequency-annual = ежегодно

support-remind-title = Напомнить позже
support-remind-lede = Выберите месяц. Мы напишем один раз и, если вы не поддержите, ещё один. После этого ваш адрес будет стёрт.
support-remind-when = Когда
support-remind-hint = Сначала придёт одно письмо с одной кнопкой. На рассылку это не подписывает. Вы соглашаетесь с { $open }политикой конфиденциальности{ $close }.
support-remind-button = Напомнить
support-remind-month-bad = Выберите месяц из списка
support-email = Ваш адрес электронной почты
support-email-bad = Впишите адрес, например name@example.org
support-sent-title = Загляните, пожалуйста, в почту
support-sent-remind = Мы отправили на этот адрес письмо с кнопкой. Напоминание появится, когда вы её нажмёте; до этого мы ничего не храним.
support-sent-manage = Если с этим адресом нас поддерживали, ссылка уже отправляется. Она работает 72 часа.
support-sent-nothing = Письма нет несколько минут? Проверьте папку «Спам» или попробуйте завтра: мы отправляем на один адрес одно такое письмо в день.
support-remind-confirm-title = Ещё одно нажатие
support-remind-confirm = Нажмите кнопку, и мы напишем вам: { $month }. До тех пор ваш адрес хранится запечатанным, а после последнего письма будет стёрт.
support-remind-confirm-button = Да, напомните
support-remind-over-title = Этот месяц прошёл
support-remind-over = Выбранный месяц закончился, напоминать не о чем. Можно выбрать другой.
support-remind-set-title = Напоминание поставлено
support-remind-set = Мы напишем вам: { $date }. В письме будет кнопка, которая его отменяет.
support-remind-cancel-title = Отменить напоминание
support-remind-cancel = Одно нажатие, и ваш адрес будет стёрт.
support-remind-cancel-button = Стереть мой адрес
support-remind-cancelled-title = Ваш адрес стёрт
support-remind-cancelled = Больше мы об этом не напишем.

support-manage-title = Ваш взнос
support-manage-ask = Посмотрите свой взнос, измените, приостановите или прекратите его. Мы отправим ссылку на адрес, который вы указали при оплате.
support-manage-hint = Ответ одинаков, знаем мы этот адрес или нет.
support-manage-send = Отправить ссылку
support-manage-none = Взносов с этим адресом у нас больше нет.
support-manage-gift = Ваш взнос
support-manage-gave = Ваш взнос был
support-manage-each-monthly = { $amount } каждый месяц, начало: { $date }
support-manage-each-annual = { $amount } каждый год, начало: { $date }
support-manage-next = Следующий раз
support-manage-ends = Закончится
support-manage-ended = Прекращён
support-manage-state = Состояние
support-state-pending = Ещё не начат
support-state-active = Действует
support-state-failing = Последний платёж не прошёл
support-state-paused = Приостановлен
support-state-ended = Прекращён
support-manage-until = Пауза до
support-manage-change = Изменить
support-manage-change-text = Изменение действует со следующего платежа; за него ничего не спишется.
support-manage-from = с { $date }
support-manage-changed = Взнос изменён. Ничего не списано; следующий платёж будет уже новым.
support-manage-same = Взнос остался прежним: ничего не изменилось.
support-manage-pause = Приостановить
support-manage-pause-for = Ничего не списывать
support-manage-pause-button = Приостановить
support-manage-pause-bad = Выберите один, два или три месяца.
support-manage-paused = Взнос приостановлен. Пока ничего не спишется.
support-manage-months = { $n ->
    [one] { $n } месяц
    [few] { $n } месяца
   *[many] { $n } месяцев
}
support-manage-resume = Продолжить
support-manage-resume-button = Закончить паузу сейчас
support-manage-resumed = Взнос продолжится со следующего платежа.
support-manage-why = Если хотите, скажите почему. Это необязательно.
support-manage-why-send = Отправить
support-manage-why-bad = Выберите одну из причин.
support-manage-why-thanks = Спасибо, что сказали.
support-why-too-expensive = Сейчас для меня это много
support-why-unused = Я реже вас читаю
support-why-switched-service = Теперь я поддерживаю других
support-why-low-quality = Мне не нравится, что вы публикуете
support-why-other = Другая причина
support-manage-download = Скачать всё
support-receipt-title = Квитанция
support-receipt-of = Квитанция: { $date }
support-receipt-to = Получатель
support-receipt-back-of = Из них возвращено
support-receipt-print = Чтобы сохранить её, распечатайте страницу. Если едете туда, где за поддержку могут преследовать, не храните ничего.
support-receipt-back = Вернуться к взносу
support-manage-card = Ваша карта
support-manage-card-text = Её хранит Stripe, а не мы.
support-manage-card-button = Сменить карту на странице Stripe
support-manage-end = Прекратить
support-manage-end-text = Одно нажатие, без вопросов. Уже переведённое остаётся переведённым.
support-manage-end-monthly = Прекратить ежемесячный взнос
support-manage-end-annual = Прекратить ежегодный взнос
support-manage-ended-now = Взнос прекращён. Больше ничего не спишется.
support-manage-past = Ваша поддержка до сих пор
support-manage-date = Дата
support-manage-what = Что
support-manage-amount = Сумма
support-line-refund = Возврат
support-line-dispute = Отозвано банком
support-line-reversal = Возвращено нам
support-manage-held = Что мы храним
support-manage-held-text = Номера Stripe для вашего взноса, суммы и даты выше и метку вашего адреса, по которой его нельзя прочитать. Ваше имя, адрес и карту хранит только Stripe.
support-manage-forget = Прекратить взнос и забыть меня
support-manage-forget-only = Забыть меня
support-manage-forgotten-title = Забыто
support-manage-forgotten = Взнос прекращён, и ничто здесь больше не ведёт к вам. Stripe хранит то, что обязан хранить по закону.
support-manage-down = Stripe сейчас не отвечает, поэтому ничего не изменилось. Попробуйте, пожалуйста, через несколько минут.

support-mail-from = Поддержка читателей
support-mail-thanks-subject = Спасибо
support-mail-begun-monthly = Ежемесячный взнос начался
support-mail-begun-annual = Ежегодный взнос начался
support-mail-each-once = { $amount } один раз
support-mail-each-monthly = { $amount } каждый месяц
support-mail-each-annual = { $amount } каждый год
support-mail-paid = Платёж
support-mail-paid-on = { $amount }, { $date }
support-mail-frequency = Как часто
support-mail-next = { $frequency }; следующий раз: { $date }
support-mail-statement = В выписке
support-mail-number = Номер квитанции
support-mail-manage = Посмотреть, изменить, приостановить или прекратить
support-mail-see = Посмотреть свою поддержку
support-mail-keep = Мы не храним ни имени, ни адреса, ни карты: их хранит Stripe. Если едете туда, где за поддержку могут преследовать, удалите это письмо заранее.
support-mail-thanks-why = Это письмо пришло, потому что вы нас поддержали. Оно приходит один раз.

support-mail-failed-subject = Платёж не прошёл
support-mail-failed-monthly = Ваш ежемесячный взнос — { $amount } — не удалось списать: { $date }. Так бывает; ничего не потеряно.
support-mail-failed-annual = Ваш ежегодный взнос — { $amount } — не удалось списать: { $date }. Так бывает; ничего не потеряно.
support-mail-failed-once = Ваш взнос — { $amount } — не пришёл: банк его не пропустил. Деньги не списаны.
support-mail-failed-last = Ваш взнос — { $amount } — не удалось списать, и это была последняя попытка. Вы ничего не должны.
support-mail-failed-ask = Банк хочет спросить вас, прежде чем пропустить ваш взнос — { $amount }.
support-mail-failed-confirm = Подтвердить платёж
support-mail-failed-button = Другая карта
support-mail-failed-again = Попробовать ещё раз
support-mail-failed-retry = Новая попытка
support-mail-failed-retry-on = { $date }
support-mail-failed-then = Если не выйдет
support-mail-failed-then-ends = взнос прекратится
support-mail-failed-owe = Ваш долг
support-mail-failed-nothing = никакого
support-mail-failed-safety = Вы теперь живёте там, где за поддержку могут преследовать, или бываете там? Тогда, пожалуйста, не возобновляйте взнос: прекратите его на той же странице или просто дайте ему закончиться.
support-mail-failed-why = Это письмо пришло, потому что ваш взнос требует внимания.

support-mail-confirm-subject = Подтвердите, пожалуйста, напоминание
support-mail-confirm = Кто-то, надеемся, вы, просит напомнить: { $month }. Нажмите кнопку, и напоминание будет поставлено.
support-mail-confirm-button = Да, напомните
support-mail-confirm-how = Кнопка открывает страницу, где нужно нажать ещё раз; так мы знаем, что это человек. Она работает 72 часа.
support-mail-confirm-not-you = Это не вы? Ничего не делайте. Мы ничего не сохранили и больше не напишем.

support-mail-remind-subject = Напоминание, о котором вы просили
support-mail-remind = Вы хотели поддержать { $name }, но не в тот день ({ $month }). Если можете сегодня, это займёт минуту: ежемесячно, от { $amount }.
support-mail-remind-button = Поддержать
support-mail-remind-safety = Пожалуйста, не переводите деньги из страны, где за это могут преследовать.
support-mail-remind-first = Уже неактуально? Адрес можно стереть по ссылке ниже. Иначе мы напишем ещё один раз ({ $month }), и после этого он будет стёрт.
support-mail-remind-last = Это второе и последнее письмо. Вместе с ним ваш адрес стёрт.
support-mail-remind-preheader-first = Вы выбрали: { $month }. Это первое письмо из двух.
support-mail-remind-preheader-last = Это второе письмо из двух и последнее.
support-mail-remind-cancel = Забыть это напоминание
support-mail-remind-why = Это письмо пришло, потому что вы попросили о нём на нашей странице поддержки.

support-mail-manage-subject = Ссылка на ваш взнос
support-mail-manage-text = По этой ссылке можно посмотреть взнос, изменить, приостановить или прекратить его. Она работает 72 часа; то же сможет любой, у кого она есть, поэтому не пересылайте её никому.
support-mail-manage-button = Открыть
support-mail-manage-why = Это письмо пришло, потому что кто-то, надеемся, вы, попросил о нём на нашей странице поддержки.

support-mail-changed-subject = Взнос изменён
support-mail-changed-text = Как вы и хотели, ваш взнос теперь — { $gift }. За само изменение ничего не списано.
support-mail-paused-subject = Взнос приостановлен
support-mail-paused-text = Как вы и хотели, ваш взнос — { $gift } — приостановлен. Пока ничего не спишется, и позже за это время ничего не нужно платить.
support-mail-resumes-subject = Пауза скоро закончится
support-mail-resumes-text = Вы приостановили взнос — { $gift }. Пауза скоро закончится; если это вам не подходит, приостановите его снова или прекратите.
support-mail-renews-subject = Ежегодный взнос скоро продлится
support-mail-renews-text = Год назад вы решили поддерживать нас: { $gift }. Скоро взнос продлится сам. Если хотите изменить или прекратить его, время есть.
support-mail-card-subject = Срок карты скоро закончится
support-mail-card-text = Срок карты, с которой списывается взнос — { $gift } — закончится раньше следующего платежа. Часто банк сам сообщает Stripe новую карту; если она у вас уже есть, её можно указать сейчас.
support-mail-was = До сих пор
support-mail-is = Теперь
support-mail-paused-until = Пауза до
support-mail-card-until = Карта действует до
support-mail-next-payment = Следующий платёж
support-mail-gift-safety = Вы теперь живёте там, где за поддержку могут преследовать, или бываете там? Тогда, пожалуйста, прекратите взнос на той же странице.
support-mail-gift-why = Это письмо пришло, потому что оно о вашем взносе.

support-mail-ended-subject = Взнос прекращён
support-mail-ended = Ваш взнос — { $amount } — прекращён. Больше ничего не спишется, а уже переведённое остаётся переведённым. Спасибо.
support-mail-ended-failed = Ваш взнос — { $amount } — прекращён, потому что платёж не удалось списать. Вы ничего не должны. Спасибо за всё, что уже переведено.
support-mail-ended-disputed = Ваш взнос — { $amount } — прекращён, потому что банк отозвал платёж. Больше ничего не спишется. Спасибо за всё, что уже переведено.
support-mail-ended-why = Это письмо пришло, потому что ваш взнос прекращён. Оно приходит один раз.

support-month = { $month ->
    [1] январь
    [2] февраль
    [3] март
    [4] апрель
    [5] май
    [6] июнь
    [7] июль
    [8] август
    [9] сентябрь
    [10] октябрь
    [11] ноябрь
   *[12] декабрь
}
support-month-in = { support-month } { $year }
