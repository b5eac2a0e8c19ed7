"""The set-up that all tests share."""

import logging


def test_a_thread_may_create_a_logger_while_pytest_walks_over_all_loggers():
    loggers = logging.root.manager.loggerDict
    for _ in loggers.values():
        logging.getLogger("tests.created_meanwhile")
    assert loggers.pop("tests.created_meanwhile")
