"""The same role on the embedded log: positions and commands in one commit of one file."""

from perdure.adapters.sqlite import SqliteLog, open_database
from perdure.adapters.system import SystemClock
from perdure.codec.avro import decode
from perdure.ports.log import Outgoing, TopicSpec
from perdure.roles.subscriptions import SubscriberService
from perdure.roles.subscriptions.register import add
from tests.conformance.facts import everything
from tests.roles.subscriptions.messages import subscribed
from tests.roles.subscriptions.world import SETTINGS, SOURCE, TOPICS, until


async def lived(path, values, expected):
    """One life of the file: messages are sent, and served until so many commands and dead letters are there."""
    database = await open_database(path, clock=SystemClock())
    log = SqliteLog(database)
    names = {TOPICS.instances: 1, TOPICS.dead_letters: 1, TOPICS.subscriptions: 1, SOURCE: 1}
    await log.create_topics([TopicSpec(*each) for each in names.items()])
    await add(log, TOPICS, [subscribed()])
    service = SubscriberService(log=log, topics=TOPICS, settings=SETTINGS)
    await service.start()
    await log.append([Outgoing(SOURCE, 0, b"k", value) for value in values])

    async def written():
        found = [await everything(log, 0, topic) for topic in (TOPICS.instances, TOPICS.dead_letters)]
        return found if sum(map(len, found)) >= expected else None

    commands, letters = await until(written)
    await service.stop()
    await log.close()
    await database.close()
    return [decode(record.value).command_id for record in commands], len(letters)


async def test_each_message_is_written_once_over_several_lives_of_a_file(tmp_path):
    path = tmp_path / "subscribed.db"
    first = await lived(path, [b'{"id": "a"}', b"garbage", b'{"id": "b"}'], 3)
    assert first == (["sub/orders/shop.orders/0/0", "sub/orders/shop.orders/0/2"], 1)
    second = await lived(path, [b'{"id": "c"}'], 4)
    assert second == ([*first[0], "sub/orders/shop.orders/0/3"], 1)
