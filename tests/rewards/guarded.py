"""What workers of a guard are made to run in its tests."""

import os
import time


def add(a, b):
    return a + b


def nap(seconds):
    time.sleep(seconds)
    return seconds


def tower(height):
    return 9**9**height  # in C, where no Python signal handler runs


def eat(gigabytes):
    return len(bytearray(gigabytes << 30))


def die(number):
    os.kill(os.getpid(), number)


def shout(text):
    print(text)  # noqa: T201 - what is tested
    os.write(1, b"[false]\n")
    return len(text)


def fail():
    raise KeyError("gone")


def a_set():
    return {1}


def me():
    return os.getpid()
