# Stripe's own SDK for Python against the stand-in, as if it were Stripe.
#
#   python drive.py PATH/TO/friday   starts `friday demo stripe` by itself
#
# Needs Python 3.11 and the package `stripe`. The last line is "N passed, N failed".
import atexit
import json
import os
import re
import signal
import subprocess
import sys
import traceback
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from unittest import TestCase
from urllib.parse import urlencode, urlsplit

import stripe

KEY = 'sk_test_standin_py'
SECRETS = ['whsec_standin', 'whsec_being_rolled']
DAY = 24 * 3600

# The checks of unittest, because they say what was found, and because `assert` is silent under `python -O`.
equal, true, raises = (getattr(TestCase(), f'assert{name}') for name in ('Equal', 'True', 'Raises'))

if len(sys.argv) != 2:
    print('usage: drive.py PATH/TO/friday', file=sys.stderr)
    sys.exit(2)
# A proxy has no way to this machine's loopback, and telemetry would leave a file in the home folder.
os.environ['no_proxy'] = '127.0.0.1'
stripe.enable_telemetry = False

command = [sys.argv[1], 'demo', 'stripe', '--listen', '127.0.0.1:0', '--by-hand']
child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
# An end by `timeout` is an end like any other: the stand-in must not outlive it.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@atexit.register
def stop():
    child.kill()
    child.wait()


found = next(filter(None, (re.search(r'http://(127\.0\.0\.1:\d+)', line) for line in child.stdout)), None)
if not found:
    sys.exit(f'{command[0]} ended with {child.wait()}')
address = found[1]


def client(key=KEY, retries=0):
    return stripe.StripeClient(key, base_addresses={'api': f'http://{address}'}, max_network_retries=retries).v1


v1 = client()


def post(url, /, **form):
    """Sends a form as a browser would, and stays where it is told to go elsewhere."""
    with closing(HTTPConnection(address, timeout=60)) as connection:
        kind = {'Content-Type': 'application/x-www-form-urlencoded'}
        connection.request('POST', urlsplit(url).path, urlencode(form), kind)
        answer = connection.getresponse()
        return answer.status, answer.headers['Location'], answer.read().decode()


def control(act, /, **form):
    status, _, body = post(f'/_standin/{act}', **form)
    equal(status, 200, body)
    return json.loads(body)


def make(mode='payment', by=v1, key=None, **more):
    price = {'currency': 'eur', 'unit_amount': 500, 'product_data': {'name': 'Support'}}
    if mode == 'subscription':
        price['recurring'] = {'interval': 'month'}
    return by.checkout.sessions.create({
        'mode': mode,
        'line_items': [{'quantity': 1, 'price_data': price}],
        'success_url': 'http://localhost:8080/support/thanks?session={CHECKOUT_SESSION_ID}',
        'cancel_url': 'http://localhost:8080/support',
        'metadata': {'attempt': '42'},
        **more,
    }, {'idempotency_key': key})


def gift(**card):
    made = make('subscription', subscription_data={'metadata': {'attempt': '42'}})
    post(made.url, act='pay', email='m@example.org', **card)
    return v1.checkout.sessions.retrieve(made.id, {'expand': ['subscription']}).subscription


def invoices(subscription, status):
    # One on each page: an invoice too many or too few on a turn of the page would show.
    pages = v1.invoices.list({'subscription': subscription, 'status': status, 'limit': 1, 'expand': ['data.payments']})
    return list(pages.auto_paging_iter())


def amounts(subscription):
    return [invoice.amount_paid for invoice in invoices(subscription, 'paid')]


def refused(work, code, param=None):
    with raises(stripe.InvalidRequestError) as caught:
        work()
    equal((caught.exception.code, caught.exception.param), (code, param))


tests = []


@tests.append
def a_session_is_made_paid_on_its_page_and_listed():
    made = make()
    equal((made.status, made.payment_status, made.amount_total), ('open', 'unpaid', 500))
    true(made.last_response.request_id.startswith('req_'))
    equal(post(made.url, act='leave')[1], 'http://localhost:8080/support')
    status, _, page = post(made.url, act='fail', email='k@example.org')
    equal((status, 'declined' in page), (200, True))
    _, location, _ = post(made.url, act='pay', email='k@example.org')
    equal(location, f'http://localhost:8080/support/thanks?session={made.id}')
    read = v1.checkout.sessions.retrieve(made.id, {'expand': ['line_items', 'payment_intent.latest_charge']})
    equal((read.status, read.payment_status), ('complete', 'paid'))
    equal(read.metadata.to_dict(), {'attempt': '42'})
    equal(read.line_items.data[0].amount_total, 500)
    equal(read.payment_intent.latest_charge.amount, 500)
    make()
    listed = v1.checkout.sessions.list({'payment_intent': read.payment_intent.id})
    equal([one.id for one in listed.data], [made.id])


@tests.append
def the_same_key_gives_the_same_session_and_another_request_with_it_an_error():
    first = make(key='twice')
    equal(make(key='twice').id, first.id)
    true(make(key='once').id != first.id)
    with raises(stripe.IdempotencyError):
        make(key='twice', metadata={'attempt': '43'})


@tests.append
def an_unknown_parameter_is_an_error():
    refused(lambda: make(colour='red'), 'parameter_unknown', 'colour')
    refused(lambda: make(payment_intent_data={'colour': 'red'}), 'parameter_unknown', 'payment_intent_data[colour]')
    refused(lambda: v1.checkout.sessions.retrieve('cs_test_none'), 'resource_missing', 'session')


@tests.append
def a_wrong_key_is_an_error():
    with raises(stripe.AuthenticationError) as caught:
        client('sk_test_other').balance.retrieve()
    equal(caught.exception.http_status, 401)


@tests.append
def the_sdk_tries_again_after_a_failure():
    def count():
        return len(list(v1.checkout.sessions.list({'limit': 100}).auto_paging_iter()))

    before = count()
    control('fail-next', status=500)
    with raises(stripe.APIError) as caught:
        make()
    equal((caught.exception.http_status, count()), (500, before))
    control('fail-next', status=500)
    control('fail-next', status=503)
    made = make(by=client(retries=2), key='patient')
    equal((make(key='patient').id, count()), (made.id, before + 1))


@tests.append
def a_monthly_gift_renews_is_paused_resumed_changed_and_ended():
    one = gift()
    equal((one.status, one.metadata.to_dict()), ('active', {'attempt': '42'}))
    control('advance', days=32)
    equal(amounts(one.id), [500, 500])
    renewal = invoices(one.id, 'paid')[0]
    equal(renewal.billing_reason, 'subscription_cycle')
    equal(renewal.parent.subscription_details.subscription, one.id)
    intent = renewal.payments.data[0].payment.payment_intent
    equal(v1.payment_intents.retrieve(intent).status, 'succeeded')

    until = control('advance')['now'] + 400 * DAY
    paused = v1.subscriptions.update(one.id, {'pause_collection': {'behavior': 'void', 'resumes_at': until}})
    equal(paused.pause_collection.to_dict(), {'behavior': 'void', 'resumes_at': until})
    control('advance', days=32)
    equal((amounts(one.id), len(invoices(one.id, 'void'))), ([500, 500], 1))
    resumed = v1.subscriptions.update(one.id, {'pause_collection': ''})
    equal(resumed.pause_collection, None)

    item = resumed.items.data[0]
    price = {'currency': 'eur', 'product': item.price.product, 'recurring': {'interval': 'month'}, 'unit_amount': 900}
    changes = {'items': [{'id': item.id, 'price_data': price}], 'proration_behavior': 'none'}
    equal(v1.subscriptions.update(one.id, changes).items.data[0].price.unit_amount, 900)
    control('advance', days=32)
    equal(amounts(one.id), [900, 500, 500])

    ends = v1.subscriptions.update(one.id, {'cancel_at_period_end': True})
    equal(ends.cancel_at, ends.items.data[0].current_period_end)
    control('advance', days=32)
    over = v1.subscriptions.retrieve(one.id)
    equal((over.status, over.ended_at), ('canceled', ends.cancel_at))
    equal(amounts(one.id), [900, 500, 500])
    refused(lambda: v1.subscriptions.cancel(one.id), 'resource_missing', 'id')


@tests.append
def a_declined_renewal_is_tried_again_and_the_portal_ends_the_gift():
    one = gift(method='card_later')
    control('advance', days=32)
    late = v1.subscriptions.retrieve(one.id, {'expand': ['latest_invoice.payments']})
    equal((late.status, late.latest_invoice.status), ('past_due', 'open'))
    intent = late.latest_invoice.payments.data[0].payment.payment_intent
    equal(v1.payment_intents.retrieve(intent).last_payment_error.code, 'card_declined')
    control('cards', subscription=one.id, does='works')
    control('advance', days=5)
    equal((v1.subscriptions.retrieve(one.id).status, amounts(one.id)), ('active', [500, 500]))
    portal = v1.billing_portal.sessions.create({'customer': one.customer, 'return_url': 'http://localhost:8080/'})
    post(portal.url, act='end', subscription=one.id)
    # The portal sets the date alone and leaves the flag.
    ends = v1.subscriptions.retrieve(one.id)
    equal((ends.cancel_at_period_end, ends.cancel_at), (False, ends.items.data[0].current_period_end))
    equal(v1.subscriptions.cancel(one.id).status, 'canceled')
    equal(v1.customers.delete(one.customer).deleted, True)


@tests.append
def a_refund_and_a_dispute_move_the_balance():
    def balance():
        return sum(line.amount for line in v1.balance.retrieve().pending if line.currency == 'eur')

    before = balance()
    made = make(customer_creation='always')
    post(made.url, act='pay', email='r@example.org', country='de')
    expand = {'expand': ['payment_intent.latest_charge.balance_transaction']}
    charge = v1.checkout.sessions.retrieve(made.id, expand).payment_intent.latest_charge
    paid = charge.balance_transaction
    equal((charge.payment_method_details.card.country, paid.amount), ('DE', 500))
    true(0 < paid.fee and paid.net == paid.amount - paid.fee)
    equal(balance(), before + paid.net)

    refund = v1.refunds.create({'charge': charge.id, 'amount': 200})
    equal(v1.balance_transactions.retrieve(refund.balance_transaction).net, -200)
    equal(balance(), before + paid.net - 200)
    refused(lambda: v1.refunds.create({'charge': charge.id, 'amount': 400}), None, 'amount')

    control('dispute', charge=charge.id)
    dispute = v1.disputes.list({'charge': charge.id}).data[0]
    taken = dispute.balance_transactions[0]
    equal((dispute.amount, taken.amount), (300, -300))
    true(taken.fee > 0)
    equal(balance(), before + paid.net - 200 - 300 - taken.fee)
    refused(lambda: v1.refunds.create({'charge': charge.id}), 'charge_disputed', 'charge')

    movements = list(v1.balance_transactions.list({'currency': 'eur', 'limit': 2}).auto_paging_iter())
    true(len(movements) > 4)
    equal(sum(one.net for one in movements), balance())


@tests.append
def its_events_are_constructed_by_the_sdk():
    seen = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers['Content-Length'])).decode()
            seen.append((body, self.headers['Stripe-Signature']))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    # Something waits now, so that nothing waiting in the end means that it was taken.
    true(v1.events.list({'delivery_success': False}).data)
    with ThreadingHTTPServer(('127.0.0.1', 0), Hook) as hook:
        Thread(target=hook.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{hook.server_port}/stripe/webhook'
        control('webhook', url=url, secrets=','.join(SECRETS))
        answers = control('deliver', copies=2, shuffle=5)['answers']
        hook.shutdown()
    true(len(seen) > 100)
    equal([status for _, status in answers], [200] * len(seen))

    copies = Counter()
    for body, signature in seen:
        event, again = (stripe.Webhook.construct_event(body, signature, secret) for secret in SECRETS)
        equal((event, event.livemode), (again, False))
        # A kind of object that the SDK does not know would be of the class that all the others come from.
        true(type(event.data.object) is not stripe.StripeObject, event.type)
        changed = body.replace('"livemode": false', '"livemode": true')
        true(changed != body)
        for payload, secret in (body, 'whsec_other'), (changed, SECRETS[0]), (f'{body} ', SECRETS[1]):
            with raises(stripe.SignatureVerificationError):
                stripe.Webhook.construct_event(payload, signature, secret)
        copies[event.id] += 1
    equal(set(copies.values()), {2})
    equal(set(copies), {event.id for event in v1.events.list({'limit': 100}).auto_paging_iter()})
    equal(v1.events.list({'delivery_success': False}).data, [])


@tests.append
def the_list_of_events_is_paged_both_ways():
    pages = v1.events.list({'limit': 20, 'created': {'gte': 1}})
    true(pages.has_more)
    ids = [event.id for event in pages.auto_paging_iter()]
    true(len(ids) > 40)
    equal(len(ids), len(set(ids)))
    back = v1.events.list({'limit': 20, 'ending_before': ids[-1]}).auto_paging_iter()
    equal([event.id for event in back], ids[-2::-1])
    kinds = {'invoice.paid', 'checkout.session.completed'}
    picked = list(v1.events.list({'types': list(kinds), 'limit': 2}).auto_paging_iter())
    equal({event.type for event in picked}, kinds)
    true(len(picked) >= 8)


failed = 0
for test in tests:
    name = test.__name__.replace('_', ' ')
    try:
        test()
        print(f'ok      {name}', flush=True)
    except Exception:
        failed += 1
        print(f'FAILED  {name}\n{traceback.format_exc()}', flush=True)
print(f'{len(tests) - failed} passed, {failed} failed')
sys.exit(failed > 0)
